// The table of all trials: sorted by a click on a heading, filtered by words. Its rows are the points of PARETO.
"use strict";
(() => {
  const SHOWN = 200;
  const box = document.getElementById("all-trials");
  const trials = PARETO.points.filter(point => !["retrained", "ensemble"].includes(point.kind));
  if (!trials.length) return;
  const columns = PARETO.tooltip.filter(([field]) => trials.some(trial => trial[field] != null));
  const filter = box.querySelector("input"), note = box.querySelector("output"), table = box.querySelector("table");
  const heads = columns.map(([field, title]) => {
    const head = document.createElement("th"), button = document.createElement("button");
    head.scope = "col";
    const kind = ["settings", "reason"].includes(field) ? "wrap" : "text";
    if (typeof trials.find(trial => trial[field] != null)[field] === "string") head.classList.add(kind);
    button.type = "button";
    button.textContent = title;
    button.addEventListener("click", () => {
      order = {field, up: order.field === field ? !order.up : field === "name" || field === "loss"};
      fill();
    });
    head.append(button);
    return head;
  });
  let order = {field: "accuracy", up: false};

  function compare(a, b) {
    const x = a[order.field], y = b[order.field];
    if (x == null || y == null) return (x == null) - (y == null);  // unknown values come last in either order
    return (x < y ? -1 : x > y ? 1 : 0) * (order.up ? 1 : -1);
  }

  function text(value, format) {
    if (value == null) return "–";
    if (typeof value === "string") return value;
    return format === ".3f" ? value.toFixed(3) : value.toLocaleString("en-US");
  }

  function fill() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = trial => {
      const all = Object.values(trial).join(" ").toLowerCase();
      return words.every(word => all.includes(word));
    };
    const found = trials.filter(has).sort(compare);
    note.value = `${found.length.toLocaleString("en-US")} of ${trials.length.toLocaleString("en-US")} trials` +
      (found.length > SHOWN ? `; the first ${SHOWN} are shown` : "");
    heads.forEach((head, i) => {
      const is = columns[i][0] === order.field;
      if (is) head.setAttribute("aria-sort", order.up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    table.tBodies[0].replaceChildren(...found.slice(0, SHOWN).map(trial => {
      const row = document.createElement("tr");
      row.append(...columns.map(([field, , format], i) => {
        const cell = document.createElement(i ? "td" : "th");
        if (!i) cell.scope = "row";
        cell.className = heads[i].className;
        cell.textContent = text(trial[field], format);
        return cell;
      }));
      return row;
    }));
  }

  table.tHead.rows[0].append(...heads);
  filter.addEventListener("input", fill);
  box.hidden = false;
  fill();
})();
