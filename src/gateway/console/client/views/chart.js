/** How operations ended, minute by minute, as bars: what completed below, what did not above it. */

import { html, nothing, svg } from '../vendor/lit-html.js';
import { count, counted, minuteOfDay, zoneLabel } from '../format.js';
import { href } from '../route.js';

/** @import { OutcomeChart } from '../../answers.js' */

/** In pixels. */
const height = 88;
const bottom = 18;
const top = 8;
/** The least number that the full height means, so that three failures do not look like a disaster. */
const leastTop = 5;

/** @param {OutcomeChart} chart */
export function outcomeChart({ start, stepMs, steps }) {
  const sums = steps.map(({ completed, failed }) => completed + failed);
  const most = niceTop(Math.max(leastTop, ...sums));
  const slot = 100 / Math.max(1, steps.length);
  const y = (/** @type {number} */ value) => top + (height - bottom - top) * (1 - value / most);
  const total = steps.reduce((sum, { completed }) => sum + completed, 0);
  const lost = steps.reduce((sum, { failed }) => sum + failed, 0);
  const ticks = steps.flatMap((_, index) => ((start + index * stepMs) % (stepMs * 10) === 0 ? [index] : []));
  return html`<figure class="chart">
    <figcaption>
      <span
        ><svg class="key" aria-hidden="true"><rect class="completed" width="10" height="10" /></svg>${count(total)}
        completed</span
      >
      <a href=${href('operations', { outcome: 'failures', range: '1h' })}
        ><svg class="key" aria-hidden="true"><rect class="failed" width="10" height="10" fill="url(#hatched)" /></svg
        >${count(lost)} did not complete</a
      >
      <span class="quiet">per minute, by their start, in ${zoneLabel()}</span>
    </figcaption>
    <svg class="bars" height=${height} role="img" aria-label=${summaryOf(start, stepMs, steps)}>
      <defs>
        <pattern id="hatched" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect class="stripe" width="3.500" height="5" />
        </pattern>
      </defs>
      ${[0, most / 2, most].map(
        (value) =>
          svg`<line class="grid" x1="0" x2="100%" y1=${y(value)} y2=${y(value)} />
            <text x="-7" y=${y(value) + 4} text-anchor="end">${count(value)}</text>`,
      )}
      ${steps.map(({ completed, failed }, index) => bars(index * slot, slot * 0.8, y, completed, failed))}
      ${ticks.filter((index) => index * slot < 95).map((index) => svg`<text x=${percent(index * slot)} y=${height - 3}>${minuteOfDay(start + index * stepMs)}</text>`)}
    </svg>
  </figure>`;
}

/**
 * @param {number} x in per cent, as `wide` @param {number} wide @param {(value: number) => number} y
 * @param {number} completed @param {number} failed
 */
function bars(x, wide, y, completed, failed) {
  // One failure among thousands must be seen as well.
  const least = 3;
  const tall = Math.max(least, y(0) - y(failed));
  return svg`${completed === 0 ? nothing : svg`<rect class="completed" x=${percent(x)} width=${percent(wide)} y=${y(completed)} height=${y(0) - y(completed)} />`}
    ${failed === 0 ? nothing : svg`<rect class="failed" fill="url(#hatched)" x=${percent(x)} width=${percent(wide)} y=${Math.max(0, y(completed) - tall)} height=${tall} />`}`;
}

/** @param {number} value */
function percent(value) {
  return `${value.toFixed(3)}%`;
}

/** 1, 2, 5, 10, 20, 50 ... times 2, so that its half is a whole number. @param {number} value */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value / 2));
  return 2 * power * ([1, 2, 5, 10].find((factor) => 2 * factor * power >= value) ?? 10);
}

/** The same in words. @param {number} start @param {number} stepMs @param {OutcomeChart['steps']} steps */
function summaryOf(start, stepMs, steps) {
  const worst = steps.reduce((most, { failed }, index) => (failed > (steps[most]?.failed ?? 0) ? index : most), 0);
  const failed = steps.reduce((sum, step) => sum + step.failed, 0);
  const completed = steps.reduce((sum, step) => sum + step.completed, 0);
  const span = `Operations started between ${minuteOfDay(start)} and ${minuteOfDay(start + steps.length * stepMs)} ${zoneLabel()}`;
  const peak =
    failed === 0
      ? ''
      : `, most of them (${count(steps[worst]?.failed ?? 0)}) in the minute from ${minuteOfDay(start + worst * stepMs)}`;
  return `${span}: ${counted(completed, 'operation')} completed, ${count(failed)} did not${peak}.`;
}
