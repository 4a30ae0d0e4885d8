/** How operations ended, minute by minute, as bars: what completed below, what did not above it. */

import { html, nothing, svg } from '../vendor/lit-html.js';
import { count, counted, minuteOfDay, zoneLabel } from '../format.js';
import { href } from '../route.js';

/** @import { OutcomeChart } from '../../answers.js' */

const width = 720;
const height = 84;
const left = 34;
const bottom = 16;
/** The least number that the full height means, so that three failures do not look like a disaster. */
const leastTop = 5;

/** @param {OutcomeChart} chart */
export function outcomeChart({ start, stepMs, steps }) {
  const sums = steps.map(({ completed, failed }) => completed + failed);
  const top = niceTop(Math.max(leastTop, ...sums));
  const slot = (width - left) / Math.max(1, steps.length);
  const y = (/** @type {number} */ value) => (height - bottom) * (1 - value / top) + 0.5;
  const total = steps.reduce((sum, { completed }) => sum + completed, 0);
  const lost = steps.reduce((sum, { failed }) => sum + failed, 0);
  const ticks = steps.flatMap((_, index) => ((start + index * stepMs) % (stepMs * 10) === 0 ? [index] : []));
  return html`<figure class="chart">
    <figcaption>
      <span><span class="key completed" aria-hidden="true"></span>${count(total)} completed</span>
      <a href=${href('operations', { outcome: 'failures', range: '1h' })}
        ><span class="key failed" aria-hidden="true"></span>${count(lost)} did not complete</a
      >
      <span class="quiet">by start, per minute, times in ${zoneLabel()}</span>
    </figcaption>
    <svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${summaryOf(start, stepMs, steps)}>
      ${[0, top / 2, top].map(
        (value) =>
          svg`<line class="grid" x1=${left} x2=${width} y1=${y(value)} y2=${y(value)} />
            <text x=${left - 6} y=${y(value) + 4} text-anchor="end">${count(value)}</text>`,
      )}
      ${steps.map(({ completed, failed }, index) => bars(left + index * slot, Math.max(1, slot - 2), y, completed, failed))}
      ${ticks.map((index) => svg`<text x=${left + index * slot} y=${height - 3} text-anchor="middle">${minuteOfDay(start + index * stepMs)}</text>`)}
    </svg>
  </figure>`;
}

/**
 * @param {number} x @param {number} wide @param {(value: number) => number} y @param {number} completed @param {number} failed
 */
function bars(x, wide, y, completed, failed) {
  // One failure among thousands must be seen as well.
  const least = 2.5;
  const tall = Math.max(least, y(0) - y(failed));
  return svg`${completed === 0 ? nothing : svg`<rect class="completed" x=${x} width=${wide} y=${y(completed)} height=${y(0) - y(completed)} />`}
    ${failed === 0 ? nothing : svg`<rect class="failed" x=${x} width=${wide} y=${Math.max(0, y(completed) - tall)} height=${tall} />`}`;
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
