
"use strict";
// Selection, search and keys. The text is marked already: nothing here counts characters of a note, and nothing writes markup.
document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  const id = (name) => document.getElementById(name);
  const all = (where, what) => [...where.querySelectorAll(what)];
  const SVG = document.querySelector("svg")?.namespaceURI; // the parser knows the name: no address stands in this file

  /** An element with attributes (null ones left out) and children (elements or text). */
  function el(tag, attributes = {}, ...children) {
    const made = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
    made.append(...children.flat().filter((child) => child !== null && child !== ""));
    return made;
  }

  const data = JSON.parse(id("data").textContent);
  const said = (text) => data.words[text] ?? text; // in the language of the page
  const articles = all(document, "article.note");
  const links = all(id("list"), "a");
  const items = links.map((link) => link.closest("li"));
  const switches = all(document, ".filters input:not([value^=t-])");
  const panel = id("panel");
  const docked = window.matchMedia("(min-width: 1121px)");
  let note = -1; // index of the note shown
  let chosen = null; // index of the mention that is held
  let hovered = null;

  const mentions = () => data.notes[note]?.mentions ?? [];
  const mark = (m) => id(`n${note}m${m}`);
  const fragments = (m) => all(articles[note], `[data-m="${m}"]`);

  /** The boxes as classes of the page, which its style sheet reads. */
  function tick() {
    const classes = document.documentElement.classList;
    for (const box of all(document, ".filters input")) {
      if (box.value.startsWith("t-")) classes.toggle(box.value, box.checked);
      else classes.toggle(`off-${box.value}`, !box.checked);
    }
  }

  /** True if no unticked box hides the element's mention. */
  function visible(element) {
    return element !== null && !switches.some((box) => !box.checked && element.classList.contains(box.value));
  }

  // --- notes ---------------------------------------------------------------------------------------------------------

  function show(index, { keepHash = false } = {}) {
    if (index < 0 || index >= articles.length) return;
    if (index === note) return;
    release();
    note = index;
    articles.forEach((article, i) => (i === index ? article.removeAttribute("hidden") : article.setAttribute("hidden", "until-found")));
    links.forEach((link, i) => (i === index ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    links[index].scrollIntoView({ block: "nearest" });
    id("scroll").scrollTop = 0;
    id("place").textContent = `${index + 1} of ${articles.length}`;
    mentions().forEach((mention, m) => {
      const element = mark(m);
      if (!element) return;
      element.tabIndex = -1;
      element.setAttribute("role", "button");
      const label = data.labels[mention.label];
      element.setAttribute("aria-label", [mention.text, label, mention.assertion].filter(Boolean).join(", "));
    });
    enter();
    count();
    search();
    describe();
    if (!keepHash) address();
  }

  /** One mention can be reached with Tab; the arrows j and k go on from there. */
  function enter() {
    const reachable = chosen ?? mentions().findIndex((_, m) => visible(mark(m)));
    mentions().forEach((_, m) => {
      if (mark(m)) mark(m).tabIndex = m === reachable ? 0 : -1;
    });
  }

  /** The mentions of this note beside those of the run, in the legend. */
  function count() {
    if (articles.length < 2) return;
    document.querySelector(".filters").classList.add("both");
    for (const box of switches) {
      const here = mentions().filter((_, m) => mark(m)?.classList.contains(box.value)).length;
      box.closest(".row").querySelector(".here").textContent = here;
    }
  }

  function turn(step) {
    for (let i = note + step; i >= 0 && i < articles.length; i += step) {
      if (!items[i].hidden) return show(i);
    }
  }

  const texts = [];
  function filterNotes() {
    const wanted = id("seek").value.toLowerCase();
    items.forEach((item, i) => {
      texts[i] ??= (data.notes[i].id + "\n" + articles[i].querySelector(".text").textContent).toLowerCase();
      item.hidden = !texts[i].includes(wanted);
    });
    id("seen").textContent = wanted ? `${items.filter((item) => !item.hidden).length} of ${items.length}` : "";
  }

  // --- mentions ------------------------------------------------------------------------------------------------------

  function choose(m, { scroll = true, focus = true } = {}) {
    release();
    chosen = m;
    hovered = null;
    const element = mark(m);
    fragments(m).forEach((fragment) => fragment.classList.add("sel"));
    enter();
    describe();
    if (element && scroll) element.scrollIntoView({ block: "nearest" });
    if (element && focus) element.focus({ preventScroll: true });
    connect();
    address();
  }

  function release() {
    if (note < 0) return;
    all(articles[note], ".sel, .peer").forEach((element) => element.classList.remove("sel", "peer"));
    chosen = hovered = null;
    connect();
  }

  function letGo() {
    if (chosen === null) return;
    release();
    describe();
    address();
  }

  function step(way) {
    const shown = mentions().map((_, m) => m).filter((m) => visible(mark(m)));
    if (!shown.length) return;
    const at = chosen === null ? -1 : shown.indexOf(chosen);
    if (chosen === null) choose(way > 0 ? shown[0] : shown.at(-1));
    else if (at >= 0) choose(shown[Math.min(Math.max(at + way, 0), shown.length - 1)]);
    else choose((way > 0 ? shown.find((m) => m > chosen) : shown.findLast((m) => m < chosen)) ?? shown[0]);
  }

  /** The next or previous mention on which the readers do not agree, in this note or those after or before it. */
  function dispute(way) {
    const open = (n, m) => data.notes[n].mentions[m].disputed && (n !== note || visible(mark(m)));
    let n = note;
    let m = chosen === null ? (way > 0 ? -1 : mentions().length) : chosen;
    for (;;) {
      m += way;
      while (m < 0 || m >= data.notes[n].mentions.length) {
        do n += way; while (data.notes[n] && items[n].hidden);
        if (!data.notes[n]) return;
        m = way > 0 ? 0 : data.notes[n].mentions.length - 1;
      }
      if (open(n, m)) {
        if (n !== note) show(n);
        return choose(m);
      }
    }
  }

  /** The marks around a node that are not filtered away, innermost first. */
  function around(node) {
    const found = [];
    for (let element = node.closest(".m"); element; element = element.parentElement.closest(".m")) {
      if (visible(element)) found.push(Number(element.dataset.m));
    }
    return found;
  }

  const relationsOf = (m) => data.notes[note].relations.filter((r) => r.head === m || r.tail === m);

  /** Outline the partners of the mention in hand, name what they are to it, and draw a line to each. */
  function connect() {
    const sheet = articles[note].querySelector(".sheet");
    sheet.querySelector(".links")?.remove();
    all(articles[note], ".peer").forEach((element) => element.classList.remove("peer"));
    const m = chosen ?? hovered;
    if (m === null || !mark(m)) return;
    const partners = new Map(); // one line per partner and direction, whatever the number of relations
    for (const { head, tail, label } of relationsOf(m)) {
      const partner = head === m ? tail : head;
      if (partner === m || !visible(mark(partner))) continue;
      const key = `${partner} ${head === m}`;
      partners.set(key, { partner, out: head === m, labels: [...(partners.get(key)?.labels ?? []), label] });
    }
    if (!partners.size) return;
    const svg = el("svg:svg", { class: "links", "aria-hidden": "true" });
    sheet.append(svg);
    const origin = sheet.getBoundingClientRect();
    const boxes = (k) =>
      fragments(k)
        .flatMap((fragment) => [...fragment.getClientRects()])
        .filter((r) => r.width > 0)
        .map((r) => ({ left: r.left - origin.left, right: r.right - origin.left, top: r.top - origin.top, bottom: r.bottom - origin.top }));
    const apart = (a, b) => 4 * Math.abs(a.top - b.top) + Math.max(a.left - b.right, b.left - a.right, 0);
    const own = boxes(m);
    const drawn = [...partners.values()]
      .flatMap((p) => {
        // A mention may go over several lines: the line is drawn between the two places that are closest.
        const pairs = boxes(p.partner).flatMap((there) => own.map((here) => ({ ...p, here, there })));
        return pairs.sort((a, b) => apart(a.here, a.there) - apart(b.here, b.there)).slice(0, 1);
      })
      .sort((p, q) => p.there.left - q.there.left);
    const names = [];
    drawn.forEach(({ partner, out, labels, here, there }, i) => {
      fragments(partner).forEach((fragment) => fragment.classList.add("peer"));
      // The name sits on the partner, in the gap between two lines, and moves on where one is there already.
      const text = el("svg:text", {}, [...new Set(labels)].join(", "));
      svg.append(text);
      const width = text.getBBox().width + 8;
      let top = there.top - 15;
      const clash = (n) => Math.abs(n.top - top) < 15 && n.left < left + width + 3 && left < n.right + 3;
      let left = Math.max(there.left - 1, ...names.filter((n) => Math.abs(n.top - top) < 15).map((n) => n.right + 3));
      left = Math.min(left, origin.width + 18 - width);
      while (names.some(clash)) top -= 15;
      const name = { left, right: left + width, top };
      names.push(name);
      text.setAttribute("x", left + width / 2);
      text.setAttribute("y", name.top + 7);
      text.before(el("svg:rect", { x: left, y: name.top, width, height: 14 }));
      const x = here.left + ((here.right - here.left) * (i + 1)) / (drawn.length + 1);
      const level = Math.abs(here.top - there.top) < 6;
      const below = there.top > here.top;
      if (level && Math.max(there.left - here.right, here.left - there.right) < 24) return; // side by side: the name is enough
      let from = { x, y: below && !level ? here.bottom + 1 : here.top - 1 };
      let to = { x: left + width / 2, y: level || below ? name.top : there.bottom + 1 };
      const swell = level ? -Math.min(10 + Math.abs(from.x - to.x) / 16, 30) : (to.y - from.y) / 2;
      let [c1, c2] = [{ x: from.x, y: from.y + swell }, { x: to.x, y: to.y + (level ? swell : -swell) }];
      if (!out) [from, c1, c2, to] = [to, c2, c1, from];
      const up = to.y < c2.y ? -1 : 1;
      svg.prepend(
        el("svg:path", { d: `M${from.x} ${from.y}C${c1.x} ${c1.y} ${c2.x} ${c2.y} ${to.x} ${to.y - 4 * up}` }),
        el("svg:path", { class: "tip", d: `M${to.x} ${to.y}l-3.5 ${-6 * up}h7z` }),
      );
    });
  }

  // --- panel ---------------------------------------------------------------------------------------------------------

  const look = (m) => `l${mentions()[m].label}`;
  const goTo = (m, kind = "") => el("a", { href: `#n${note}m${m}`, "data-to": m, class: `to ${look(m)} ${kind}` }, el("bdi", {}, mentions()[m].text));
  const heading = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

  function rows(pairs) {
    const body = pairs.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
    return el("table", { class: "grid two" }, el("tbody", {}, body));
  }

  function gauge(value) {
    const bar = el("svg:svg", { class: "gauge", viewBox: "0 0 100 5", preserveAspectRatio: "none", "aria-hidden": "true" });
    bar.append(el("svg:rect", { class: "all", width: 100, height: 5 }), el("svg:rect", { class: "part", width: 100 * Number(value), height: 5 }));
    return bar;
  }

  function describe() {
    if (note < 0) return;
    const m = chosen ?? hovered;
    panel.replaceChildren(m === null ? outline() : card(m));
    panel.classList.toggle("holds", chosen !== null);
    if (m !== null) panel.scrollTop = 0;
  }

  /** What is known of one mention. */
  function card(m) {
    const mention = mentions()[m];
    const badge = mention.assertion && mention.assertion !== "present";
    const close = el("button", { type: "button", "aria-label": said("Let go of this mention"), title: said("Let go (Esc)") }, "×");
    close.addEventListener("click", letGo);
    const spans = mention.spans.map(([start, end]) => `${start}–${end}`).join(", ");
    const found = el(
      "div",
      {},
      el(
        "div",
        { class: "top" },
        el("span", { class: `swatch ${look(m)}` }, data.labels[mention.label]),
        badge ? el("span", { class: `tag ${look(m)}` }, mention.assertion) : null,
        chosen === null ? null : close,
      ),
      el("p", { class: "quote", dir: "auto" }, mention.text),
    );
    if (mention.confidence) {
      found.append(el("div", { class: "sure" }, el("span", { class: "kind" }, said("Confidence")), el("b", {}, mention.confidence)), gauge(mention.confidence));
    }
    const place = [["line", String(mention.line)], ["characters", spans]];
    if (mention.lane) place.push(["lane", mention.lane]);
    if (mention.key !== String(m + 1)) place.push(["id", mention.key]);
    if (mention.attributes.length) found.append(heading(said("Attributes"), rows(mention.attributes)));
    if (mention.codes.length) found.append(heading(said("Codes"), rows(mention.codes.map((code) => [code.split(":")[0], code.split(":").slice(1).join(":") || code]))));
    const linked = relationsOf(m);
    if (linked.length) {
      const list = linked.map((r) => {
        const out = r.head === m;
        const way = el("span", { class: "way" }, out ? `→ ${r.label}` : `← ${r.label}`, el("span", { class: "unseen" }, out ? " to" : " from"));
        return el("li", {}, way, goTo(out ? r.tail : r.head), el("span", { class: "num count" }, r.confidence));
      });
      found.append(heading(said("Relations"), el("ul", {}, list)));
    }
    if (mention.votes.length) {
      const head = el("thead", {}, el("tr", {}, ["Reader", "Model", "Placed by", "Score"].map((name) => el("th", { scope: "col", class: name === "Score" ? "num" : null }, said(name)))));
      const placed = { grammar: "grammar", aligned: "alignment" };
      const body = mention.votes.map(([reader, model, how, score]) => el("tr", {}, el("td", {}, reader), el("td", {}, model), el("td", {}, placed[how] ?? how), el("td", { class: "num" }, score)));
      found.append(heading(said("Votes"), el("table", { class: "grid" }, head, el("tbody", {}, body))));
    }
    for (const reason of mention.reasons ?? []) found.append(why(reason));
    found.append(heading(said("Place in the note"), rows(place)));
    return found;
  }

  /** The words near a mention, shaded by what they add to its score. */
  function why({ what, method, pieces }) {
    const shown = pieces.map(([piece, value, shade]) => (value ? el("span", { class: shade ? `why ${shade > 0 ? "for" : "against"}${Math.abs(shade)}` : "why", title: value }, piece) : piece));
    return heading(`${said("Why")} ${what}: ${method}`, el("p", { class: "reason", dir: "auto" }, shown));
  }

  /** The note's mentions by label, while none is in hand. */
  function outline() {
    const found = el("div", {}, el("h2", {}, said("In this note")));
    data.labels.forEach((label, l) => {
      const shown = mentions().map((_, m) => m).filter((m) => mentions()[m].label === l && visible(mark(m)));
      if (!shown.length) return;
      const list = shown.map((m) => {
        const { assertion, confidence } = mentions()[m];
        const badge = assertion && assertion !== "present" ? el("span", { class: `tag ${look(m)}` }, assertion) : null;
        return el("li", {}, goTo(m, "plain"), badge, el("span", { class: "num count" }, confidence));
      });
      found.append(el("section", {}, el("h3", { class: "brief" }, el("span", { class: `swatch l${l}` }, label), el("span", { class: "count" }, String(shown.length))), el("ul", {}, list)));
    });
    if (found.children.length === 1) found.append(el("p", { class: "hint" }, said("No mentions to show.")));
    return found;
  }

  // --- find in the note ----------------------------------------------------------------------------------------------

  let hits = [];
  let hit = -1;
  const paint = "highlights" in CSS; // elsewhere the current hit is selected instead

  function search() {
    const wanted = id("find").value.trim();
    hits = [];
    hit = -1;
    if (wanted && note >= 0) {
      const nodes = [];
      const starts = [];
      let text = "";
      const walker = document.createTreeWalker(articles[note].querySelector(".text"), NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        starts.push(text.length);
        nodes.push(walker.currentNode);
        text += walker.currentNode.data;
      }
      const escaped = wanted.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&").replace(/\\-/g, "-").replace(/\s+/g, "\\s+");
      let k = 0;
      for (const match of text.matchAll(new RegExp(escaped, "gi"))) {
        const range = new Range();
        const end = match.index + match[0].length;
        while (k + 1 < starts.length && starts[k + 1] <= match.index) k++;
        range.setStart(nodes[k], match.index - starts[k]);
        let e = k;
        while (e + 1 < starts.length && starts[e + 1] < end) e++;
        range.setEnd(nodes[e], end - starts[e]);
        hits.push(range);
      }
    }
    if (paint) {
      CSS.highlights.set("found", new Highlight(...hits));
      CSS.highlights.delete("found-now");
    }
    id("hits").textContent = wanted ? String(hits.length) : "";
  }

  function nextHit(way) {
    if (!hits.length) return;
    hit = hit < 0 ? (way > 0 ? 0 : hits.length - 1) : (hit + way + hits.length) % hits.length;
    if (paint) CSS.highlights.set("found-now", new Highlight(hits[hit]));
    else {
      getSelection().removeAllRanges();
      getSelection().addRange(hits[hit].cloneRange());
    }
    hits[hit].startContainer.parentElement.scrollIntoView({ block: "center" });
    id("hits").textContent = `${hit + 1} of ${hits.length}`;
  }

  // --- address -------------------------------------------------------------------------------------------------------

  function address() {
    const parts = [`note=${encodeURIComponent(data.notes[note].id)}`];
    if (chosen !== null) parts.push(`mention=${encodeURIComponent(mentions()[chosen].key)}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  /** Follow `#note=…&mention=…`, or the plain anchors that work without a script (#n0, #n0m3, #u2). */
  function follow() {
    const hash = location.hash.slice(1);
    if (hash.startsWith("note=")) {
      const wanted = new URLSearchParams(hash);
      const index = data.notes.findIndex((n) => n.id === wanted.get("note"));
      if (index < 0) return false;
      show(index, { keepHash: true });
      const m = mentions().findIndex((mention) => mention.key === wanted.get("mention"));
      if (m >= 0) choose(m);
      return true;
    }
    const target = hash && id(hash);
    const article = target && target.closest("article.note");
    if (!article) return false;
    show(articles.indexOf(article), { keepHash: true });
    if (target.dataset.m) choose(Number(target.dataset.m));
    else if (target !== article) target.scrollIntoView({ block: "center" });
    return true;
  }

  // --- events --------------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const to = event.target.closest("a[data-to]");
    if (to) {
      event.preventDefault();
      return choose(Number(to.dataset.to));
    }
    const link = event.target.closest("#list a");
    if (link) {
      event.preventDefault();
      return show(links.indexOf(link));
    }
    for (const open of all(document, "details.drop[open]")) {
      if (!open.contains(event.target) || event.target.closest("a")) open.open = false;
    }
    if (!event.target.closest(".text") || !getSelection().isCollapsed) return;
    const under = around(event.target);
    if (!under.length) return letGo();
    choose(under[(under.indexOf(chosen) + 1) % under.length], { scroll: false });
  });

  id("scroll").addEventListener("mouseover", (event) => {
    if (chosen !== null || !docked.matches) return;
    const m = around(event.target)[0] ?? null;
    if (m === hovered) return;
    hovered = m;
    describe();
    connect();
  });

  id("scroll").addEventListener("focusin", (event) => {
    if (event.target.matches("mark.m") && Number(event.target.dataset.m) !== chosen && event.target.matches(":focus-visible")) {
      choose(Number(event.target.dataset.m), { focus: false });
    }
  });

  articles.forEach((article, i) => article.addEventListener("beforematch", () => show(i)));
  window.addEventListener("hashchange", follow);
  new ResizeObserver(() => note >= 0 && connect()).observe(id("scroll"));
  id("prev").addEventListener("click", () => turn(-1));
  id("next").addEventListener("click", () => turn(1));
  id("up").addEventListener("click", () => step(-1));
  id("down").addEventListener("click", () => step(1));
  id("keys").addEventListener("click", () => id("help").showModal());
  id("seek").addEventListener("input", filterNotes);
  id("find").addEventListener("input", () => { search(); nextHit(1); });

  document.querySelector(".filters").addEventListener("change", () => {
    tick();
    if (note < 0) return;
    if (chosen !== null && !visible(mark(chosen))) letGo();
    hovered = null;
    enter();
    describe();
    connect();
  });

  for (const group of all(document, ".filters fieldset")) {
    const boxes = all(group, "input:not([value^=t-])");
    if (boxes.length < 2) continue;
    for (const box of boxes) {
      const only = el("button", { type: "button", class: "only", "aria-label": `Show only ${box.closest("label").textContent}, or all again` }, said("only"));
      only.addEventListener("click", () => {
        const alone = boxes.every((other) => other.checked === (other === box));
        boxes.forEach((other) => (other.checked = alone || other === box));
        box.dispatchEvent(new Event("change", { bubbles: true }));
      });
      box.closest("label").after(only);
    }
  }

  const keys = {
    n: () => turn(1), ArrowRight: () => turn(1), p: () => turn(-1), ArrowLeft: () => turn(-1),
    j: () => step(1), k: () => step(-1), Escape: letGo,
    "/": () => id("find").focus(), s: () => id("seek").focus(), "?": () => id("help").showModal(),
    d: () => dispute(1), D: () => dispute(-1), l: () => id("t-labels").click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || id("help").open) return;
    const field = event.target.closest("input[type=search]");
    if (field) {
      if (event.key === "Escape") {
        event.preventDefault();
        field.value = "";
        field.dispatchEvent(new Event("input"));
        field.blur();
      }
      if (event.key === "Enter" && field.id === "find") nextHit(event.shiftKey ? -1 : 1);
      if (event.key === "Enter" && field.id === "seek") show(items.findIndex((item) => !item.hidden));
      return;
    }
    const focused = event.target.closest("mark.m");
    if (focused && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      return focused.click();
    }
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  tick();
  if (articles.length && !follow()) show(0);
});
