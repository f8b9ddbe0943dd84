// Draws one dashboard with Grafana's own npm libraries: @grafana/data does overrides, units,
// thresholds, mappings and transformations, @grafana/ui draws. It is not the Grafana application.
// What it found is left as JSON in <script id="report">.
import React from "react";
import { createRoot } from "react-dom/client";
import {
  applyFieldOverrides, createTheme, dateTime, FieldConfigOptionsRegistry, FieldType, getDisplayValueAlignmentFactors,
  getFieldDisplayName, getFieldDisplayValues, identityOverrideProcessor, standardTransformers, standardTransformersRegistry,
  ThemeContext, transformDataFrame,
} from "@grafana/data";
import { TableNG } from "@grafana/ui/unstable";
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries } from "@grafana/ui";
import { Heatmap, StateTimeline, XyChart } from "./canvas.jsx";
import { query } from "./query.js";

const COLUMNS = 24, ROW = 38, WIDTH = 1600;
const report = { panels: [], errors: [] };
window.addEventListener("error", (event) => report.errors.push(String(event.message)));

// The field options that overrides may set: the standard ones, and every custom one in use.
function fieldOptions(panels) {
  const registry = new FieldConfigOptionsRegistry();
  const option = (id, path, isCustom) => ({
    id, path, name: id, isCustom, process: identityOverrideProcessor,
    shouldApply: () => true, override: () => null, editor: () => null,
  });
  const standard = ["unit", "min", "max", "decimals", "thresholds", "mappings", "links", "color", "noValue", "displayName", "filterable", "fieldMinMax", "actions"];
  standard.forEach((id) => registry.register(option(id, id, false)));
  const custom = new Set(["axisPlacement", "axisLabel", "drawStyle", "lineWidth", "lineStyle", "fillOpacity", "gradientMode", "spanNulls", "showPoints", "pointSize", "stacking", "scaleDistribution", "hideFrom", "thresholdsStyle", "axisSoftMin", "axisSoftMax", "lineInterpolation", "barAlignment", "barWidthFactor", "axisColorMode", "axisBorderShow", "axisCenteredZero", "cellOptions", "align", "width", "minWidth", "inspect"]);
  for (const panel of panels) {
    Object.keys(panel.fieldConfig?.defaults?.custom || {}).forEach((key) => custom.add(key));
    for (const override of panel.fieldConfig?.overrides || [])
      override.properties.filter((p) => p.id.startsWith("custom.")).forEach((p) => custom.add(p.id.slice(7)));
  }
  custom.forEach((key) => registry.register(option(`custom.${key}`, key, true)));
  return registry;
}

function registerTransformers() {
  const unique = new Map(Object.values(standardTransformers).map((t) => [t.id, t]));
  standardTransformersRegistry.setInit(() => [...unique.values()].map((t) => ({
    id: t.id, name: t.name, transformation: () => Promise.resolve(t), editor: () => null, imageDark: "", imageLight: "",
  })));
}

class Boundary extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  componentDidCatch(error) { report.errors.push(`${this.props.title}: ${error.message}`); }
  render() { return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children; }
}

function Values({ panel, frames, width, height, theme }) {
  const options = panel.options, big = panel.type === "stat";
  const values = getFieldDisplayValues({
    data: frames, reduceOptions: options.reduceOptions, fieldConfig: panel.fieldConfig, replaceVariables: (x) => x,
    theme, sparkline: big && options.graphMode !== "none", timeZone: "utc",
  }).slice(0, 12);
  const factors = getDisplayValueAlignmentFactors(values); // names and numbers as wide as the widest
  const w = big ? width / values.length : width, h = big ? height : height / values.length;
  return <div style={{ display: "flex", flexDirection: big ? "row" : "column" }}>{values.map((value, i) => big
    ? <BigValue key={i} value={value.display} sparkline={value.sparkline} theme={theme} width={w} height={h} colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode} />
    : <BarGauge key={i} value={value.display} alignmentFactors={factors} field={value.field} theme={theme} width={w} height={Math.min(h - 4, 40)} orientation="horizontal" text={options.text} displayMode={options.displayMode} display={value.view?.getFieldDisplayProcessor(value.colIndex)} />)}</div>;
}

// As Grafana's own panel does before it draws: NaN and infinities are gaps.
function drawable(frames) {
  const gap = (value) => (Number.isFinite(value) ? value : null);
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((f) => (f.type === FieldType.number ? { ...f, values: [...f.values].map(gap) } : f)),
  }));
}

function Body({ panel, frames, width, height, view, theme }) {
  const options = panel.options || {}, shape = { frames, width, height, theme };
  if (panel.type === "text") return <div style={{ padding: 8 }}>{options.content}</div>;
  if (!frames.length || !frames.some((frame) => frame.length)) {
    return <div style={{ textAlign: "center", paddingTop: height / 3 }}>{panel.fieldConfig.defaults.noValue || "No data"}</div>;
  }
  const range = { from: dateTime(view.from * 1000), to: dateTime(view.to * 1000) };
  switch (panel.type) {
    case "timeseries": return <TimeSeries {...shape} frames={drawable(frames)} timeRange={{ ...range, raw: range }} timeZone="utc" legend={options.legend} options={options} structureRev={1} />;
    case "table": return <TableNG data={frames[0]} width={width} height={height} cellHeight={options.cellHeight} initialSortBy={options.sortBy} enableVirtualization={false} structureRev={1} getActions={() => []} />;
    case "heatmap": return <Heatmap {...shape} unit={options.yAxis.unit} />;
    case "state-timeline": return <StateTimeline {...shape} />;
    case "xychart": return <XyChart {...shape} series={options.series[0]} />;
    default: return <Values panel={panel} {...shape} />;
  }
}

async function framesOf(panel, view, values, width, registry, theme) {
  let frames = [];
  for (const target of panel.targets || []) frames.push(...await query(target, view, values, Math.floor(panel.maxDataPoints || width)));
  if (panel.transformations?.length) {
    frames = await new Promise((done, failed) => transformDataFrame(panel.transformations, frames).subscribe({ next: done, error: failed }));
  }
  frames = applyFieldOverrides({ data: frames, fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry, replaceVariables: (x) => x, theme, timeZone: "utc" });
  frames.forEach((frame) => frame.fields.forEach((field) => { field.state ??= {}; getFieldDisplayName(field, frame, frames); }));
  return frames;
}

async function items(dashboard, view, theme) {
  // A collapsed row is drawn open, below what stands above it.
  const panels = [];
  let shift = 0;
  for (const panel of dashboard.panels) {
    panels.push({ panel, y: panel.gridPos.y + shift });
    const inner = panel.panels || [];
    inner.forEach((child) => panels.push({ panel: child, y: child.gridPos.y + shift }));
    if (inner.length) shift += Math.max(...inner.map((c) => c.gridPos.y + c.gridPos.h)) - panel.gridPos.y - 1;
  }
  const registry = fieldOptions(panels.map((item) => item.panel)), values = {};
  for (const v of dashboard.templating.list) values[v.name] = v.allValue || [].concat(v.current.value)[0];
  for (const item of panels) {
    const { panel } = item, place = panel.gridPos;
    item.box = { left: (place.x * WIDTH) / COLUMNS, top: 50 + item.y * ROW, width: (place.w * WIDTH) / COLUMNS - 8, height: place.h * ROW - 8 };
    item.frames = [];
    if (panel.type === "row" || panel.type === "text") continue;
    const found = { title: panel.title, type: panel.type, series: 0, points: 0, error: null };
    report.panels.push(found);
    try {
      item.frames = await framesOf(panel, view, values, item.box.width, registry, theme);
    } catch (error) {
      found.error = item.error = String(error.message || error);
    }
    for (const field of item.frames.flatMap((frame) => frame.fields).filter((f) => f.type === FieldType.number)) {
      found.series += 1;
      found.points += [...field.values].filter(Number.isFinite).length;
    }
  }
  return panels;
}

// Texts that end in an ellipsis, as "panel: text": what a reader cannot read.
function clipped() {
  const cut = (element) => !element.children.length && element.textContent.trim()
    && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).textOverflow === "ellipsis";
  return [...document.querySelectorAll("[data-panel]")].flatMap((panel) =>
    [...panel.querySelectorAll("*")].filter(cut).map((element) => `${panel.dataset.panel}: ${element.textContent}`));
}

async function main() {
  registerTransformers();
  const { dashboard, view, mode } = await (await fetch("dashboard.json")).json();
  const theme = createTheme({ colors: { mode } });
  const shown = await items(dashboard, view, theme);
  const height = Math.max(...shown.map((item) => item.box.top + item.box.height)) + 20;
  createRoot(document.getElementById("root")).render(<ThemeContext.Provider value={theme}><GlobalStyles />
    <div style={{ position: "relative", width: WIDTH, height, background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: "Inter, Helvetica, Arial" }}>
      <h2 style={{ margin: 0, padding: 8 }}>{dashboard.title}</h2>
      {shown.map(({ panel, box, frames, error }, i) => <div key={i} data-panel={panel.title} style={{ position: "absolute", ...box }}>{panel.type === "row"
        ? <h3 style={{ margin: 6 }}>{panel.title}</h3>
        : <Boundary title={panel.title}><PanelChrome title={panel.title} description={panel.description} width={box.width} height={box.height} statusMessage={error}>
          {(width, inner) => <Boundary title={panel.title}><Body {...{ panel, frames, view, theme, width, height: inner }} /></Boundary>}
        </PanelChrome></Boundary>}</div>)}
    </div></ThemeContext.Provider>);
  setTimeout(() => {
    report.clipped = clipped();
    const script = document.createElement("script");
    Object.assign(script, { type: "application/json", id: "report", textContent: JSON.stringify({ ...report, height }) });
    document.body.appendChild(script);
  }, 1500);
}

main().catch((error) => { document.body.innerText = error.stack; });
