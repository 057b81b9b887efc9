
"use strict";
// The error browser: filters, keys, and the figures of the tables that lead into it. The sentences are marked already.
document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  const id = (name) => document.getElementById(name);
  const items = [...id("list").children];
  const boxes = [...document.querySelectorAll('input[name="kind"]')];
  const picks = ["gold", "pred", "section"].map(id);
  const texts = []; // of each item, made when it is first asked for
  let chosen = null;

  const format = new Intl.NumberFormat("en").format;

  const plain = (text) => text.toLowerCase().trim().split(/\s+/).join(" ");

  /** True if the mentions or the note's name hold the words; words in quotes are a whole mention. */
  function holds(i, words) {
    texts[i] ??= [...items[i].querySelectorAll(".t")].map((t) => plain(t.textContent)).concat(plain(items[i].dataset.note));
    const whole = /^"(.+)"$/.exec(words);
    return texts[i].some((text) => (whole ? text === whole[1] : text.includes(words)));
  }

  /** Show what the boxes, the lists and the search admit. */
  function sift() {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const find = plain(id("find").value);
    let count = 0;
    items.forEach((item, i) => {
      const { dataset } = item;
      const fits = (pick) => pick.value === "*" || dataset[pick.id] === pick.value.slice(1);
      const shown = wanted.has(dataset.kind) && picks.every(fits) && (!find || holds(i, find));
      item.hidden = !shown;
      if (shown) count += 1;
    });
    id("shown").textContent = count === items.length ? `${format(count)} shown` : `${format(count)} of ${format(items.length)}`;
    id("none").hidden = count > 0 || !items.length;
    if (chosen?.hidden) release();
  }

  function reset() {
    boxes.forEach((box) => (box.checked = true));
    picks.forEach((pick) => (pick.value = "*"));
    id("find").value = "";
  }

  /** Show only what a figure of a table counts, and go there. */
  function lead(filters) {
    reset();
    for (const [name, value] of filters) {
      if (name === "kind") boxes.forEach((box) => (box.checked = box.value === value));
      else if (name === "find") id("find").value = `"${value}"`;
      else id(name).value = `=${value}`;
    }
    sift();
    id("errors").scrollIntoView();
  }

  function release() {
    chosen?.classList.remove("sel");
    chosen?.removeAttribute("aria-current");
    chosen = null;
  }

  function choose(item) {
    release();
    chosen = item;
    item.classList.add("sel");
    item.setAttribute("aria-current", "true");
    item.tabIndex = -1;
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
    history.replaceState(null, "", `#${item.id}`);
  }

  function step(way) {
    const shown = items.filter((item) => !item.hidden);
    if (!shown.length) return;
    if (chosen) return choose(shown[Math.min(Math.max(shown.indexOf(chosen) + way, 0), shown.length - 1)]);
    // Without one chosen: the first that the window shows, or the first of all.
    const top = document.querySelector(".sift").getBoundingClientRect().bottom;
    choose(shown.find((item) => item.getBoundingClientRect().top >= top - 1) ?? shown[0]);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-errors]");
    if (link) {
      event.preventDefault();
      return lead(JSON.parse(link.dataset.errors));
    }
    const item = event.target.closest("#list > li");
    if (item && getSelection().isCollapsed) choose(item);
  });

  for (const box of boxes) {
    box.closest("label").addEventListener("dblclick", () => {
      boxes.forEach((other) => (other.checked = other === box));
      sift();
    });
  }

  document.querySelector(".sift").addEventListener("input", sift);
  document.querySelector(".sift").addEventListener("submit", (event) => event.preventDefault());
  id("all").addEventListener("click", () => { reset(); sift(); });

  const keys = { j: () => step(1), k: () => step(-1), "/": () => id("find").focus(), Escape: () => { release(); reset(); sift(); } };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input[type=search], select");
    if (field) {
      if (event.key === "Escape" || event.key === "Enter") {
        event.preventDefault();
        if (event.key === "Escape" && field.id === "find") field.value = "";
        sift();
        field.blur();
      }
      return;
    }
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // The contents show which section is being read.
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")];
  function place() {
    const current = sections.findLast((section) => section.getBoundingClientRect().top < innerHeight / 3) ?? sections[0];
    links.forEach((link, name) => (name === current.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  }
  document.addEventListener("scroll", place, { passive: true });

  sift();
  place();
  const target = /^#e\d+$/.test(location.hash) && id(location.hash.slice(1));
  if (target) choose(target);
});
