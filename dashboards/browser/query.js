// Asks the Prometheus behind the page what a panel asks, and gives Grafana's data frames.
import { FieldType, toDataFrame } from "@grafana/data";

export function expand(text, values) {
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (whole, braced, bare) => values[braced || bare] ?? whole);
}

async function ask(path, parameters) {
  const answer = await (await fetch(`api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data.result;
}

const bound = (series) => Number(series.metric.le.replace("+Inf", "Infinity"));
const points = (series) => series.values || [series.value];

function table(result, refId) {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  return [toDataFrame({
    refId,
    fields: [
      { name: "Time", type: FieldType.time, values: result.map((s) => s.value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: result.map((s) => s.metric[label] ?? "") })),
      { name: `Value #${refId}`, type: FieldType.number, values: result.map((s) => Number(s.value[1])) },
    ],
  })];
}

// Buckets are cumulative: each becomes what it holds beyond the one below it.
function buckets(result) {
  const sorted = [...result].sort((a, b) => bound(a) - bound(b));
  return sorted.map((series, i) => ({
    ...series,
    values: points(series).map(([at, value], k) => {
      const below = i ? Number(points(sorted[i - 1])[k]?.[1] ?? 0) : 0;
      return [at, Math.max(0, Number(value) - below)];
    }),
  }));
}

function frame(series, target) {
  const legend = target.legendFormat;
  const name = legend && legend !== "__auto"
    ? legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => series.metric[label] ?? "")
    : undefined;
  const { __name__, ...labels } = series.metric;
  return toDataFrame({
    refId: target.refId,
    name,
    fields: [
      { name: "Time", type: FieldType.time, values: points(series).map(([at]) => at * 1000), config: {} },
      {
        name: "Value", type: FieldType.number, labels,
        values: points(series).map(([, value]) => Number(value)),
        config: name ? { displayNameFromDS: name } : {},
      },
    ],
  });
}

export async function query(target, view, values, width) {
  const range = view.to - view.from;
  const step = Math.max(view.scrapeInterval, Math.ceil(range / width));
  const expr = expand(target.expr, {
    __interval: `${step}s`,
    __rate_interval: `${Math.max(step + view.scrapeInterval, 4 * view.scrapeInterval)}s`,
    __range: `${range}s`,
    ...values,
  });
  const result = target.instant
    ? await ask("query", { query: expr, time: view.to })
    : await ask("query_range", { query: expr, start: view.from, end: view.to, step });
  if (target.format === "table") return table(result, target.refId);
  return (target.format === "heatmap" ? buckets(result) : result).map((series) => frame(series, target));
}
