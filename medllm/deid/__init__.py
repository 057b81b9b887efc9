"""De-identification: notes without names, dates, places and numbers of people, and the way back from them (extra ``deid``)."""
