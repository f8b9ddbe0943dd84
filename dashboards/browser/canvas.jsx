// Panels that Grafana's libraries do not export, drawn plainly: heatmap, state timeline, xy chart.
import React from "react";
import { formattedValueToString, getFieldDisplayName, getValueFormat } from "@grafana/data";

function Canvas({ width, height, theme, draw }) {
  const element = React.useRef();
  React.useEffect(() => {
    const context = element.current.getContext("2d");
    context.font = "11px sans-serif";
    context.fillStyle = theme.colors.text.secondary;
    draw(context);
  });
  return <canvas ref={element} width={width} height={height} />;
}

// Without the zeros that it writes after a point, so that the ticks of an axis look alike.
const format = (unit, value) => formattedValueToString(getValueFormat(unit || "short")(value))
  .replace(/\.(\d*?)0+(?!\d)/, (_, digits) => digits && `.${digits}`);

export function Heatmap({ frames, width, height, theme, unit }) {
  return <Canvas {...{ width, height, theme }} draw={(context) => {
    const left = 60, columns = frames[0].length, cell = (height - 4) / frames.length;
    const most = Math.max(...frames.flatMap((frame) => [...frame.fields[1].values]));
    frames.forEach((frame, row) => {
      const top = (frames.length - 1 - row) * cell;
      frame.fields[1].values.forEach((value, column) => {
        if (!(value > 0)) return;
        const share = Math.sqrt(value / most);
        context.fillStyle = `hsl(${240 - 180 * share} 70% ${25 + 35 * share}%)`;
        context.fillRect(left + (column * (width - left)) / columns, top, (width - left) / columns + 1, cell - 1);
      });
      context.fillStyle = theme.colors.text.secondary;
      if (row % Math.ceil(frames.length / 8) === 0) {
        const le = frame.fields[1].labels.le;
        context.fillText(le === "+Inf" ? "+Inf" : format(unit, Number(le)), 2, top + cell);
      }
    });
  }} />;
}

export function StateTimeline({ frames, width, height, theme }) {
  return <Canvas {...{ width, height, theme }} draw={(context) => {
    const row = Math.min(26, height / frames.length);
    const names = frames.map((frame) => getFieldDisplayName(frame.fields[1], frame, frames));
    const left = 12 + Math.max(...names.map((name) => context.measureText(name).width));
    frames.forEach((frame, index) => {
      const field = frame.fields[1], slot = (width - left) / frame.length;
      context.fillStyle = theme.colors.text.primary;
      context.fillText(names[index], 2, index * row + row / 2 + 4);
      field.values.forEach((value, at) => {
        context.fillStyle = field.display(value).color;
        context.fillRect(left + at * slot, index * row + 2, slot + 1, row - 4);
      });
      context.fillStyle = "#fff";
      context.fillText(field.display(field.values.at(-1)).text, width - 60, index * row + row / 2 + 4);
    });
  }} />;
}

// A quarter of an axis that ends at or above the largest value: 1, 2, 2.5 or 5 times a power of ten.
function step(largest) {
  const power = 10 ** Math.floor(Math.log10(largest / 4));
  return [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n * 4 >= largest);
}

export function XyChart({ frames, width, height, theme, series }) {
  const named = (matcher) => frames[0].fields.find((f) => getFieldDisplayName(f, frames[0], frames) === matcher.options);
  const x = named(series.x.matcher), y = named(series.y.matcher);
  if (!x || !y) throw new Error("the series to draw are not in the data");
  return <Canvas {...{ width, height, theme }} draw={(context) => {
    const left = 70, bottom = 36, most = (f) => Math.max(1e-9, ...[...f.values].filter(Number.isFinite));
    const xStep = step(most(x)), yStep = step(most(y)), right = xStep * 4, top = yStep * 4;
    const px = (v) => left + (v / right) * (width - left - 10), py = (v) => height - bottom - (v / top) * (height - bottom - 10);
    for (let i = 0; i <= 4; i++) {
      context.fillText(format(x.config.unit, xStep * i), px(xStep * i) - (i === 4 ? 34 : 14), height - 20);
      context.fillText(format(y.config.unit, yStep * i), 2, py(yStep * i) + 8);
    }
    context.fillText(`${series.y.matcher.options} against ${series.x.matcher.options}`, left, height - 4);
    context.fillStyle = theme.visualization.getColorByName("blue");
    x.values.forEach((value, i) => {
      if (Number.isFinite(value) && Number.isFinite(y.values[i])) context.fillRect(px(value) - 2, py(y.values[i]) - 2, 4, 4);
    });
  }} />;
}
