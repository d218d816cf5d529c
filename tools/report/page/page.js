/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the charts show, and the tables beside them, from the JSON in the page. Texts only ever become text nodes. */
"use strict";
(() => {
const report = JSON.parse(document.getElementById("data").textContent);
const colors = 8;
const dashes = ["", "6 3", "2 2", "8 3 2 3", "4 4", "1 3", "10 4", "6 2 1 2"];
const symbols = ["circle", "square", "triangle", "diamond", "star", "cross", "wye", "times"];

const number = (digits) => new Intl.NumberFormat("en", {maximumFractionDigits: digits}).format;
const whole = number(0), fine = number(2), ratio = (value) => value.toFixed(3), short = d3.format("~s");

function element(name, attributes, ...children) {
	const made = document.createElement(name);
	for (const [key, value] of Object.entries(attributes ?? {}))
		made.setAttribute(key, value);
	made.append(...children);
	return made;
}

/* --- tables ----------------------------------------------------------------------------------- */

function table(label, headings, rows) {
	const head = element("tr", {}, ...headings.map((text) => element("th", {scope: "col"}, text)));
	const body = rows.map(([first, ...rest]) => element("tr", {}, element("th", {scope: "row"}, first),
		...rest.map((text) => element("td", {}, text))));
	return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label},
		element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

/* --- charts ----------------------------------------------------------------------------------- */

const drawn = [];

/* A chart with its caption and its values; `options(width)` configures Plot. */
function chart(kind, title, hint, options, values) {
	const plot = element("div", {class: "plot"});
	const figure = element("figure", {"data-chart": kind},
		element("figcaption", {}, title, " ", element("span", {class: "hint"}, hint)), plot);
	if (values)
		figure.append(element("details", {}, element("summary", {}, "Values"), values));
	drawn.push({plot, title, options, width: 0});
	return figure;
}

function draw(one) {
	const width = Math.max(260, Math.round(one.plot.clientWidth || 640));
	if (width === one.width)
		return;
	one.width = width;
	const svg = Plot.plot({width, marginLeft: 50, marginRight: 20, marginTop: 24, marginBottom: 40,
		style: {fontSize: "12px"}, ariaLabel: one.title, ...one.options(width)});
	svg.setAttribute("role", "img");
	one.plot.replaceChildren(svg);
}

const paint = (names) => ({type: "ordinal", domain: names, range: names.map((_, i) => `var(--c${i % colors})`)});

/* Horizontal bars with their spread over the rounds, a dot for each round, and the names above them. */
function bars(names, unit, medians, rounds) {
	return () => ({
		height: 60 + 58 * names.length,
		marginLeft: 8,
		x: {label: unit, grid: true, zero: true, ticks: 4, tickFormat: short},
		y: {domain: names, axis: null, padding: 0.62},
		color: paint(names),
		marks: [
			Plot.barX(medians, {y: "name", x: "median", fill: "name", tip: {format: {fill: false}}}),
			Plot.ruleY(medians, {y: "name", x1: "min", x2: "max", stroke: "currentColor", strokeWidth: 2}),
			Plot.dot(rounds, {y: "name", x: "value", r: 2.5, fill: "var(--paper)", stroke: "currentColor"}),
			Plot.text(medians, {y: "name", x: 0, text: "name", textAnchor: "start", dy: -20, fill: "currentColor"}),
			Plot.ruleX([0]),
		],
	});
}

function spreads(section, key) {
	return section.variants.map((v) => ({name: v.name, ...v[key]}));
}

function rounds(section, key) {
	return section.variants.flatMap((v) => v.rounds.map((r) => ({name: v.name, round: r.round, value: r[key]})));
}

function spread_table(label, unit, rows, format) {
	return table(label, ["Engine", `Median (${unit})`, "Least", "Most"],
		rows.map((r) => [r.name, format(r.median), format(r.min), format(r.max)]));
}

/* One line for each engine, told apart by colour, dashes and symbols. */
function lines(names, points, channels, marker) {
	return names.flatMap((name, i) => {
		const own = points.filter((p) => p.name === name);
		const color = `var(--c${i % colors})`;
		return [
			Plot.line(own, {...channels, stroke: color, strokeWidth: 2, strokeDasharray: dashes[i % colors]}),
			Plot.dot(own.filter(marker), {...channels, fill: color, symbol: symbols[i % colors], r: 4}),
		];
	});
}

const nines = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];

function curves(names, latency_of) {
	const points = latency_of.flatMap(({name, latency}) => (latency?.curve ?? []).map(([share, us]) =>
		({name, nines: -Math.log10(1 - share), share, us: Math.max(us, 0.001)})));
	const most = Math.max(1, ...points.map((p) => p.nines));
	return () => ({
		height: 300,
		x: {label: "Percentile", domain: [0, most], ticks: d3.range(0, Math.floor(most) + 1), tickFormat: (k) => nines[k]},
		y: {label: "Microseconds", type: "log", grid: true, ticks: 5, tickFormat: short},
		marks: [
			...lines(names, points, {x: "nines", y: "us", sort: "nines"}, (p) => Number.isInteger(Math.round(p.nines * 10) / 10)),
			Plot.tip(points, Plot.pointer({x: "nines", y: "us",
				title: (p) => `${p.name}\n${(p.share * 100).toPrecision(6) * 1} %: ${fine(p.us)} µs`})),
		],
	});
}

function latency_table(label, rows) {
	return table(label, ["Engine", "Operations", "Mean (µs)", "P50", "P90", "P99", "P99.9", "Max"], rows
		.filter(({latency}) => latency?.count)
		.map(({name, latency: l}) => [name, whole(l.count),
			...[l.mean_us, l.p50_us, l.p90_us, l.p99_us, l["p99.9_us"], l.max_us].map(fine)]));
}

function ratio_rounds(names, points) {
	const ticks = [...new Set(points.map((p) => p.round))].sort((a, b) => a - b);
	return (width) => ({
		height: 260,
		x: {label: "Round", type: "point", domain: ticks, ticks: ticks.filter((_, i) => i % Math.ceil(ticks.length * 28 / width) === 0)},
		y: {label: "Ratio of IOPS to the baseline", type: "log", grid: true, ticks: 5, tickFormat: "~r"},
		marks: [
			Plot.ruleY([1], {strokeDasharray: "3 3"}),
			...lines(names, points, {x: "round", y: "value", sort: "round"}, () => true),
			Plot.tip(points, Plot.pointer({x: "round", y: "value", title: (p) => `${p.name}\nround ${p.round}: ${ratio(p.value)}`})),
		],
	});
}

function intervals(names, rows) {
	return () => ({
		height: 60 + 50 * rows.length,
		marginLeft: 8,
		x: {label: "Ratio of IOPS to the baseline", type: "log", grid: true, ticks: 5, tickFormat: "~r",
			domain: d3.extent([0.95, 1.05, ...rows.flatMap((r) => [r.low * 0.95, r.high * 1.05].map((end) => Math.min(Math.max(end, 0.01), 100)))]),
			clamp: true},
		y: {domain: rows.map((r) => r.name), axis: null},
		color: paint(names),
		marks: [
			Plot.ruleX([1], {strokeDasharray: "3 3"}),
			Plot.ruleY(rows, {y: "name", x1: "low", x2: "high", stroke: "name", strokeWidth: 3}),
			Plot.tickX(rows.flatMap((r) => [r.low, r.high].map((end) => ({name: r.name, end}))),
				{y: "name", x: "end", stroke: "name", strokeWidth: 2, insetTop: 12, insetBottom: 12}),
			Plot.dot(rows, {y: "name", x: "value", fill: "name", r: 4.5, tip: {format: {fill: false}}}),
			Plot.text(rows, {y: "name", text: "name", frameAnchor: "left", textAnchor: "start", dy: -16, fill: "currentColor"}),
		],
	});
}

/* --- sections --------------------------------------------------------------------------------- */

function legend(names) {
	return element("ul", {class: "legend"}, ...names.map((name, i) => {
		const item = element("li");
		const key = Plot.plot({width: 28, height: 12, margin: 0, axis: null, x: {domain: [0, 2]}, y: {domain: [0, 2]}, marks: [
			Plot.ruleY([1], {stroke: `var(--c${i % colors})`, strokeWidth: 2, strokeDasharray: dashes[i % colors]}),
			Plot.dot([[1, 1]], {fill: `var(--c${i % colors})`, symbol: symbols[i % colors], r: 4})]});
		key.setAttribute("aria-hidden", "true");
		item.append(key, name);
		return item;
	}));
}

function ratio_charts(section, names) {
	const rows = section.variants.filter((v) => v.ratio).map((v) => ({name: v.name, ...v.ratio}));
	const points = rounds(section, "ratio").filter((p) => p.value > 0 && p.name !== names[0]);
	if (!rows.length)
		return [];
	return [
		chart("ratio", "Ratio to the baseline", `Against ${names[0]}, with 95 % intervals`, intervals(names, rows),
			table("Ratios", ["Engine", "Ratio", "From", "To", "Rounds"],
				rows.map((r) => [r.name, ratio(r.value), ratio(r.low), ratio(r.high), whole(r.pairs)]))),
		chart("rounds", "Ratio in each round", `Against ${names[0]} in the same round`, ratio_rounds(names, points),
			table("Ratio in each round", ["Engine", "Round", "Ratio"], points.map((p) => [p.name, whole(p.round), ratio(p.value)]))),
	];
}

const spans = {command: "from a command's arrival to its answer", engine: "of the engine, from request to result"};

/* Of each kind of operation, where there is more than one. */
function kind_charts(section, names) {
	const kinds = new Map(section.variants.flatMap((v) => v.latencies).map((l) => [`${l.span} ${l.what}`, l]));
	if (kinds.size < 2)
		return [];
	return [...kinds.values()].map(({span, what}) => {
		const rows = section.variants.map((v) => ({name: v.name, latency: v.latencies.find((l) => l.span === span && l.what === what)}));
		return chart("kind", `Latency: ${what}`, `Time ${spans[span] ?? span}, logarithmic`, curves(names, rows),
			latency_table(`Latency of ${what}`, rows));
	});
}

function counter_table(section) {
	const names = Object.keys(section.variants[0].per_operation)
		.filter((name) => section.variants.some((v) => v.per_operation[name] > 0));
	if (!names.length)
		return [];
	return [element("h3", {}, "Counters per operation"), table("Counters per operation",
		["Engine", ...names.map((name) => name.replaceAll("_", " "))],
		section.variants.map((v) => [v.name, ...names.map((name) => number(4)(v.per_operation[name]))]))];
}

function section_of(section, index) {
	const names = section.variants.map((v) => v.name);
	const sentences = section.variants.filter((v) => v.ratio).map((v) => element("li", {}, v.ratio.sentence));
	const latencies = section.variants.map((v) => ({name: v.name, latency: v.latency}));
	const id = `load-${index + 1}`;
	const made = element("section", {id, "aria-labelledby": `${id}-title`}, element("h2", {id: `${id}-title`}, section.name),
		element("p", {class: "hint"}, `${section.rounds_measured} rounds; each engine ran ${fine(section.slot_seconds)} s in each, in random order.`));
	if (section.warning)
		made.append(element("p", {class: "warning", role: "note"}, section.warning));
	if (!section.rounds_measured)
		return made;
	made.append(element("ul", {}, ...sentences), legend(names), element("div", {class: "charts"},
		chart("iops", "I/O operations per second", "Median; line: least to most; dots: rounds",
			bars(names, "IOPS", spreads(section, "iops"), rounds(section, "iops")),
			spread_table("IOPS", "IOPS", spreads(section, "iops"), whole)),
		...ratio_charts(section, names),
		chart("latency", "Latency", `Time ${spans[section.variants[0].latencies.some((l) => l.span === "command") ? "command" : "engine"]}, logarithmic; all operations`,
			curves(names, latencies), latency_table("Latency", latencies)),
		chart("cpu", "CPU time per operation", "Of the whole process, kernel included; median; line: least to most",
			bars(names, "Microseconds", spreads(section, "cpu_us"), rounds(section, "cpu_us")),
			spread_table("CPU time per operation", "µs", spreads(section, "cpu_us"), fine)),
		...kind_charts(section, names)), ...counter_table(section));
	return made;
}

/* --- the page --------------------------------------------------------------------------------- */

function facts() {
	const groups = d3.group(report.facts, (fact) => fact.group);
	return [...groups].flatMap(([group, list]) => [element("h3", {}, group[0].toUpperCase() + group.slice(1)),
		table(group, ["What", "Value"], list.map((fact) => [fact.name, fact.value]))]);
}

document.title = `${report.subject} - rtgt report`;
document.getElementById("title").textContent = `Comparison of engines: ${report.subject}`;
document.getElementById("about").textContent = `${report.program}, ${report.started}`;
document.getElementById("summary").textContent = report.summary;
if (report.sections.length > 1)
	document.getElementById("contents").append(element("ul", {}, ...report.sections.map((section, i) =>
		element("li", {}, element("a", {href: `#load-${i + 1}`}, section.name)))));
document.getElementById("sections").append(...report.sections.map(section_of));
document.getElementById("facts").append(...facts());
drawn.forEach(draw);
new ResizeObserver(() => drawn.forEach(draw)).observe(document.getElementById("sections"));
})();
