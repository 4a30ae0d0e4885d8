/** The path of one operation: received → processed → sent to the agent → answered → result received. */

import { html, nothing, svg } from '../vendor/lit-html.js';
import { copyButton } from '../copy.js';
import { count, duration, exactTime, fullTime } from '../format.js';
import { accountLink, agentLink, fact, outcomeBadge } from '../parts.js';
import { href, operationHref } from '../route.js';

/** @import { OperationObject, OperationRow } from '../../answers.js' */
/** @typedef {{ title: string, who: string, detail?: string, time: number, iso: string }} Step */

/** @param {OperationRow} row @param {number} now */
export function timeline(row, now) {
  const start = Date.parse(row.startTime);
  const steps = stepsOf(row);
  const ended = row.endTime === undefined ? undefined : Date.parse(row.endTime);
  const end = Math.max(ended ?? now, ...steps.map((step) => step?.time ?? 0));
  const span = Math.max(1, end - start);
  let before = start;
  return html`<div class="timeline">
    <dl class="facts">
      ${fact('Operation', html`<a class="id" href=${operationHref(row.operationId)}>${row.operationId}</a>${copyButton(row.operationId, 'operation id')}`)}
      ${fact('Account', html`${accountLink(row.account)}${copyButton(row.account, 'account name')}`)}
      ${fact('Outcome', outcomeBadge(row.finalOutcome))}
      ${fact('Started', html`<time datetime=${row.startTime}>${fullTime(row.startTime)}</time>`)}
      ${fact('Duration', duration(row.totalDurationMs ?? end - start))} ${fact('Request', verbAndKind(row))}
      ${objectName(row.object) === '' ? nothing : fact('Object', html`${objectLink(row)}${copyButton(objectName(row.object), 'object’s name')}`)}
      ${row.object?.selector === undefined ? nothing : fact('Selector', html`<span class="id">${row.object.selector}</span>`)}
      ${row.object?.others === undefined ? nothing : fact('And', html`<span class="id">${row.object.others.join(', ')}</span>`)}
      ${row.reason === undefined ? nothing : fact('Reason', row.reason)}
      ${row.count === undefined ? nothing : fact('Requests', count(row.count))}
      ${
        row.caller === undefined
          ? nothing
          : fact('Caller', html`<a class="id" href=${href('operations', { caller: row.caller })}>${row.caller}</a>`)
      }
      ${
        row.requestBytes === undefined
          ? nothing
          : fact('Bytes', `${count(row.requestBytes)} sent, ${count(row.responseBytes ?? 0)} received`)
      }
    </dl>
    ${
      row.message === undefined
        ? nothing
        : html`<div class="said">
            <p class="message">${row.message}</p>
            ${copyButton(row.message, 'message')}
          </div>`
    }
    <ol>
      ${titles.map((title, index) => {
        const step = steps[index];
        if (step === undefined) {
          return html`<li class="missing">
            <span class="step">${title}</span
            ><span class="who">${ended === undefined ? 'not known yet' : 'not recorded'}</span>
          </li>`;
        }
        const from = before;
        before = Math.max(before, step.time);
        return html`<li>
          <span class="step">${title}</span>
          <span class="who"
            >${titles[index] === 'Sent to agent' || titles[index] === 'Answered' ? agentLink(step.who) : html`<span class="id">${step.who}</span>`}${step.detail === undefined ? nothing : html` <span class="quiet">${step.detail}</span>`}</span
          >
          <span class="lane" aria-hidden="true">${laneBar((from - start) / span, (step.time - start) / span)}</span>
          <span class="offset">+${duration(step.time - start)}</span>
          <time datetime=${step.iso} title=${fullTime(step.iso)}>${exactTime(step.iso)}</time>
        </li>`;
      })}
    </ol>
  </div>`;
}

/** "scale Deployment", "patch deployments/scale". @param {OperationRow} row */
export function verbAndKind({ operationType, verb, object }) {
  return `${verb ?? operationType} ${object?.kind ?? object?.resource ?? ''}`.trim();
}

/** It leads to all operations on the object. @param {OperationRow} row */
export function objectLink({ object }) {
  const name = objectName(object);
  if (object === undefined || name === '') return nothing;
  const { kind, resource, namespace } = object;
  const to = href('operations', { kind: kind ?? resource.split('/')[0], namespace, name: object.name });
  return html`<a class="id" href=${to}>${name}</a>`;
}

/** "shop/web", "shop/" for several in a namespace; '' if the request names none. @param {OperationObject | undefined} object */
function objectName(object) {
  const { namespace = '', name = '' } = object ?? {};
  return namespace === '' ? name : `${namespace}/${name}`;
}

const titles = ['Received', 'Processed', 'Sent to agent', 'Answered', 'Result received'];

/** @param {OperationRow} row @returns {(Step | undefined)[]} in the order of `titles` */
function stepsOf({
  opReceivedByClouddriver: received,
  opProcessedByClouddriver: processed,
  opSentToAgent: sent,
  resultReceivedFromAgent: answered,
  resultReceivedByClouddriver: ended,
}) {
  /** @param {string} title @param {string} who @param {string} iso @param {string} [detail] @returns {Step} */
  const step = (title, who, iso, detail) => ({
    title,
    who,
    iso,
    time: Date.parse(iso),
    ...(detail === undefined ? {} : { detail }),
  });
  return [
    received && step('Received', received.clouddriverId, received.time),
    processed && step('Processed', processed.clouddriverId, processed.time),
    sent && step('Sent to agent', sent.agentId, sent.time),
    answered &&
      step(
        'Answered',
        answered.agentId,
        answered.time,
        `status ${answered.result.status}, took ${duration(answered.result.durationMs)}, received by ${answered.clouddriverId}`,
      ),
    ended && step('Result received', ended.clouddriverId, ended.time),
  ];
}

/** From the step before to this one. @param {number} from 0 to 1 @param {number} to */
function laneBar(from, to) {
  const width = Math.max(0.004, to - from);
  return html`<svg>
    <line class="track" x1="0" x2="100%" y1="50%" y2="50%" />
    ${svg`<rect class="fill" x=${`${Math.min(from, 1 - width) * 100}%`} width=${`${width * 100}%`} y="25%" height="50%" rx="2" />`}
  </svg>`;
}
