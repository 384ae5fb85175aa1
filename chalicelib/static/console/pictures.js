// The pictures: a column chart, minute by minute. Each says in words what it shows.

import { html } from "./preact-htm.js";

const MINUTE_MS = 60000;
const CHART = { width: 240, height: 44, minutes: 60 };

/** One column a minute of the last hour up to `until`; a minute without a value has none. A second value is drawn as a line across it. */
export function Columns({ values, until, label }) {
  const most = Math.max(1, ...values.map((each) => Math.max(each.value ?? 0, each.line ?? 0)));
  const step = CHART.width / CHART.minutes;
  const height = (value) => Math.max(value > 0 ? 1.5 : 0, (value / most) * (CHART.height - 4));
  const place = (at) => CHART.width - ((until - new Date(at)) / MINUTE_MS + 1) * step;
  return html`
    <svg class="columns" viewBox="0 0 ${CHART.width} ${CHART.height}" preserveAspectRatio="none" role="img" aria-label=${label}>
      <line x1="0" x2=${CHART.width} y1=${CHART.height - 0.5} y2=${CHART.height - 0.5} class="ground" />
      ${values.filter((each) => each.value !== null).map((each) => html`
        <rect key=${each.at} x=${place(each.at)} width=${step * 0.8} y=${CHART.height - 1 - height(each.value)} height=${height(each.value)} />
        ${each.line !== undefined && html`
          <line class="upper" x1=${place(each.at)} x2=${place(each.at) + step * 0.8}
            y1=${CHART.height - 1 - height(each.line)} y2=${CHART.height - 1 - height(each.line)} />`}`)}
    </svg>`;
}
