// The interactive Pareto plot: PARETO holds the points, limits and axes (results/report/pareto_view.py).
"use strict";
(() => {
  const box = document.getElementById("pareto-view");
  const pick = name => box.querySelector(`[name=${name}]`);
  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const RING = "M-1,0A1,1,0,1,1,1,0A1,1,0,1,1,-1,0ZM-.8,0A.8,.8,0,1,0,.8,0A.8,.8,0,1,0,-.8,0Z";
  const styles = {
    finished: ["circle", "--accent"], paused: ["circle", "--muted"], stopped: ["circle", "--muted"],
    running: ["circle", "--muted"], failed: ["cross", "--warn"], infeasible: ["triangle-up", "--warn"],
    retrained: ["diamond", "--gold"], ensemble: ["square", "--green"], submitted: [RING, "--ink"],
  };

  function front(points, x, y) {
    const better = PARETO.scores[y].higher_is_better ? (a, b) => a > b : (a, b) => a < b;
    const done = points.filter(p => p.kind === "finished" && p[x] != null && p[y] != null);
    done.sort((a, b) => a[x] - b[x] || (better(a[y], b[y]) ? -1 : 1));
    const kept = [];
    for (const p of done) if (!kept.length || better(p[y], kept.at(-1)[y])) kept.push(p);
    return kept;
  }

  // Functions from a size and a score to about the pixels where the plot will have them, and the plot's width.
  function pixels(sizes, scores, height, isLog) {
    const width = box.querySelector(".plot").clientWidth - 70;
    const along = (values, length, form) => {
      const all = values.map(form), low = Math.min(...all), span = Math.max(...all) - low || 1;
      return value => 12 + (form(value) - low) / span * (length - 24);
    };
    const up = along(scores, height, value => value);
    return [along(sizes, width, isLog ? Math.log : value => value), value => height - up(value), width];
  }

  // Each label to the right of its point, else to the left, above or below: where no other point or label is.
  function placed(points, across, down, width, x, y) {
    const taken = points.map(p => [across(p[x]) - 9, down(p[y]) - 9, across(p[x]) + 9, down(p[y]) + 9]);
    const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    return points.map(p => {
      const long = 6.5 * p.label.length, [px, py] = [across(p[x]), down(p[y])];
      const ways = [
        {align: "left", dx: 13, dy: 0, box: [px + 12, py - 6, px + 13 + long, py + 6]},
        {align: "right", dx: -13, dy: 0, box: [px - 13 - long, py - 6, px - 12, py + 6]},
        {align: "center", dx: 0, dy: -18, box: [px - long / 2, py - 24, px + long / 2, py - 12]},
        {align: "center", dx: 0, dy: 18, box: [px - long / 2, py + 12, px + long / 2, py + 24]},
      ];
      const inside = ways.filter(way => way.box[0] > 0 && way.box[2] < width);
      const {box, ...way} = inside.find(way => !taken.some(other => meets(way.box, other))) ?? inside[0] ?? ways[0];
      taken.push(box);
      return {...p, ...way};
    });
  }

  function spec() {
    const x = pick("x").value, y = pick("y").value, kinds = Object.keys(styles).filter(kind => PARETO.points.some(p => p.kind === kind || kind === "submitted" && p.slot));
    const points = PARETO.points.filter(p => p[x] != null && p[y] != null);
    const infeasible = PARETO.points.filter(p => p.kind === "infeasible" && p[x] != null);
    const limit = PARETO.limits[x] == null ? [] : [{value: PARETO.limits[x], label: `limit ${PARETO.limits[x].toLocaleString("en-US")}`}];
    const strip = infeasible.length ? 26 : 0;  // below the scores: proposals that have none. Grid lines would end there.
    const sizes = [...points, ...infeasible].map(p => p[x]).concat(limit.map(one => one.value)), scores = points.map(p => p[y]);
    const labelled = placed(points.filter(p => p.label), ...pixels(sizes, scores, 380 - strip, pick("log").checked), x, y);
    const xScale = {...(pick("log").checked ? {type: "log"} : {zero: false}), nice: false, padding: 12};
    const yScale = {range: [{expr: `height - ${strip}`}, 0], zero: false, padding: 12, ...(PARETO.scores[y].higher_is_better ? {domainMax: 1} : {})};
    const xField = {field: x, type: "quantitative", scale: xScale, title: PARETO.quantities[x], axis: {format: "~s", grid: !strip}};
    const yField = {field: y, type: "quantitative", scale: yScale, title: PARETO.scores[y].title};
    const shape = {
      field: "kind", type: "nominal", title: null, legend: {orient: "top", ...(box.clientWidth < 600 ? {columns: 3} : {})},
      scale: {domain: kinds, range: kinds.map(kind => styles[kind][0])},
    };
    const hue = {...shape, scale: {domain: kinds, range: kinds.map(kind => color(styles[kind][1]))}};
    const tooltip = PARETO.tooltip.map(([field, title, format]) => ({field, title, ...(format ? {format} : {})}));
    return {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      width: "container", height: 380, background: null, padding: 4,
      config: {
        font: "system-ui, DejaVu Sans, sans-serif", view: {stroke: color("--line")},
        axis: {gridColor: color("--line"), labelColor: color("--muted"), titleColor: color("--ink"), domainColor: color("--line"), tickColor: color("--line")},
        legend: {labelColor: color("--ink")},
      },
      layer: [
        {
          data: {values: limit}, mark: {type: "rule", strokeDash: [6, 4], color: color("--warn"), size: 1.5},
          encoding: {x: {field: "value", type: "quantitative", scale: xScale}},
        },
        {
          data: {values: limit}, mark: {type: "text", align: "right", baseline: "top", dx: -5, dy: 4, fontSize: 11, color: color("--warn")},
          encoding: {x: {field: "value", type: "quantitative", scale: xScale}, y: {value: 0}, text: {field: "label"}},
        },
        {
          data: {values: strip ? [{}] : []}, mark: {type: "rule", color: color("--line")}, encoding: {y: {value: {expr: `height - ${strip}`}}},
        },
        {
          data: {values: strip ? [{label: "not trained: no score"}] : []},
          mark: {type: "text", align: "left", baseline: "middle", fontSize: 11, color: color("--muted")},
          encoding: {x: {value: 5}, y: {value: {expr: `height - ${strip / 2}`}}, text: {field: "label"}},
        },
        {
          data: {values: front(points, x, y)}, mark: {type: "line", interpolate: "step-after", color: color("--ink"), size: 1.4},
          encoding: {x: xField, y: yField, order: {field: x}},
        },
        {
          data: {values: points.filter(p => p.low != null && y === "accuracy")}, mark: {type: "rule", color: color("--gold")},
          encoding: {x: xField, y: {...yField, field: "low"}, y2: {field: "high"}},
        },
        {
          data: {values: infeasible}, mark: {type: "point", filled: true, size: 45, opacity: 0.7, cursor: "default"},
          encoding: {x: xField, y: {value: {expr: `height - ${strip / 2}`}}, shape, color: hue, tooltip},
        },
        {
          data: {values: points.filter(p => p.slot).map(p => ({...p, kind: "submitted"}))},
          mark: {type: "point", filled: true, size: 330, opacity: 1}, encoding: {x: xField, y: yField, shape, color: hue, tooltip},
        },
        {
          params: [{name: "zoom", select: "interval", bind: "scales"}],
          data: {values: points}, mark: {type: "point", filled: true, size: 85, opacity: 0.85, cursor: "pointer"},
          encoding: {x: xField, y: yField, shape, color: hue, tooltip},
        },
        {
          data: {values: labelled},
          mark: {type: "text", fontSize: 11, color: color("--ink"), align: {expr: "datum.align"}, dx: {expr: "datum.dx"}, dy: {expr: "datum.dy"}},
          encoding: {x: xField, y: yField, text: {field: "label"}},
        },
      ].filter(layer => layer.data.values.length),
    };
  }

  // The page doesn't know where the run is; a browser that has opened it from the run's folder does.
  const run = (() => {
    const found = location.protocol === "file:" && location.pathname.match(/^(.+)\/report\/[^/]+$/);
    if (!found) return "RUN";
    const path = decodeURIComponent(found[1]).replace(/^\/(?=[A-Za-z]:)/, "");
    return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  })();

  function line(command) {
    const row = document.createElement("div"), code = document.createElement("code"), button = document.createElement("button");
    code.textContent = command.replace("RUN", () => run);
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${command}`);
    button.addEventListener("click", async () => {
      getSelection().selectAllChildren(code);  // also without access to the clipboard, a key copies it
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch { button.textContent = "Selected"; }
    });
    row.append(code, button);
    return row;
  }

  function show(point) {
    const without = {infeasible: "it is over the limit and was not trained", failed: "it failed"}[point.kind] ?? "it has other systems' answers";
    pick("point").value = point.name;
    pick("command").replaceChildren(...(point.command ? point.command.split("\n").map(line) : [`No command for ${point.name}: ${without}.`]));
  }

  pick("point").addEventListener("change", () => {
    const name = pick("point").value.trim(), point = PARETO.points.find(p => p.name === name);
    if (point) show(point);
    else pick("command").replaceChildren(name ? `No point is named ${name}.` : "");
  });

  async function draw() {
    const {view} = await vegaEmbed(box.querySelector(".plot"), spec(), {actions: false, renderer: "svg"});
    view.addEventListener("click", (_, item) => { if (item && item.datum && item.datum.name) show(item.datum); });
    box.dataset.drawn = PARETO.points.length;
  }

  for (const name of ["x", "y", "log"]) pick(name).addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  box.hidden = false;
  const still = document.getElementById("pareto-static");  // the same as a picture, for print and without scripts
  if (still) {
    still.open = false;
    addEventListener("beforeprint", () => { still.open = true; });
    addEventListener("afterprint", () => { still.open = false; });
  }
  draw();
})();
