/** What needs attention, causes before their effects: what is wrong, since when and why, each in one row. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted, zoneLabel } from '../format.js';
import { accountLink, badge, since } from '../parts.js';
import { accountHref, agentHref, href, operationHref } from '../route.js';
import { table } from '../table.js';

/** @import { Attention, FailingAccount, InstanceHealth, MissingAgent, OfflineAccount } from '../../../attention/answer.js' */
/** @import { Tone } from '../parts.js' */
/**
 * @typedef {object} Finding
 * @property {string} key
 * @property {Tone} tone
 * @property {string} state
 * @property {unknown} subject
 * @property {unknown} [since]
 * @property {unknown} why
 * @property {string | undefined} target
 */

/** Of a kind; the others are behind a link. */
const shown = 6;

/** @param {Attention} attention @param {boolean} complete whether all has been read @param {number} now Unix ms */
export function attentionSection(attention, complete, now) {
  const { instances, failures, accounts, agents } = attention;
  const listed = new Set(agents.items.map(({ agentId }) => agentId));
  // What an agent that is listed has left behind stands in its row.
  const orphans = accounts.items.filter(({ lastAgentId }) => !listed.has(lastAgentId));
  const left = grouped(orphans, ({ lastAgentId }) => lastAgentId);
  const failing = failures.items.filter(({ ongoing }) => ongoing);
  const recovered = failures.items.filter(({ ongoing, last15Minutes }) => !ongoing && last15Minutes > 0);
  const findings = [
    ...grouped(instances.items.filter(troubled), ({ state, reason }) => `${state} ${reason ?? ''}`).map((some) =>
      ofInstances(some, now),
    ),
    ...agents.items.slice(0, shown).map((one) => ofAgent(one, accounts.items, now)),
    ...more(
      'agents',
      agents.missing - Math.min(shown, agents.items.length),
      'agent',
      'offline',
      href('agents', { state: 'offline' }),
    ),
    ...left.slice(0, shown).map((some) => ofOfflineAccounts(some, now)),
    ...more('accounts', countAll(left.slice(shown)), 'account', 'offline', href('accounts', { state: 'offline' })),
    ...failing.slice(0, shown).map((one) => ofFailing(one, now)),
    ...more(
      'failing',
      failing.length - shown,
      'account',
      'failing',
      href('operations', { outcome: 'failures', range: '1h' }),
    ),
    ...(accounts.uncached === 0 ? [] : [ofUncached(accounts)]),
    ...recovered.slice(0, shown).map((one) => ofFailing(one, now)),
  ];
  return html`<section class="attention">
    <h2>Needs attention</h2>
    ${
      findings.length === 0 && !complete
        ? html`<p class="notice">${badge('busy', 'Not known yet')}</p>`
        : findings.length === 0
          ? html`<p class="notice">
              ${badge('ok', 'All is well')}
              <span
                >${count(instances.ready)} of ${counted(instances.expected, 'replica')} ready,
                ${counted(agents.connected, 'agent')} connected, every account cached, nothing has failed in the last 15
                minutes.</span
              >
            </p>`
          : table({
              caption: 'Needs attention',
              columns,
              rows: findings,
              key: ({ key }) => key,
              target: ({ target }) => target,
            })
    }
  </section>`;
}

/** @type {readonly import('../table.js').Column<Finding>[]} */
const columns = [
  { title: 'State', cell: ({ tone, state }) => badge(tone, state) },
  { title: 'What', kind: 'head', cell: ({ subject }) => subject },
  { title: 'Since', label: 'since', cell: (finding) => finding.since ?? nothing },
  { title: 'Why', kind: 'whole', cell: ({ why }) => why },
];

/** @param {InstanceHealth} instance */
function troubled({ state, reason, replacedBy }) {
  return replacedBy === undefined && (state !== 'ready' || reason !== undefined);
}

/**
 * What has the same cause is one finding.
 * @template Item @param {readonly Item[]} items @param {(item: Item) => string} cause @returns {(readonly [Item, ...Item[]])[]}
 */
function grouped(items, cause) {
  /** @type {Map<string, [Item, ...Item[]]>} */
  const groups = new Map();
  for (const item of items) {
    const group = groups.get(cause(item));
    if (group === undefined) groups.set(cause(item), [item]);
    else group.push(item);
  }
  return [...groups.values()];
}

/** @param {readonly (readonly unknown[])[]} groups */
function countAll(groups) {
  return groups.reduce((sum, { length }) => sum + length, 0);
}

/** @param {readonly [InstanceHealth, ...InstanceHealth[]]} instances @param {number} now @returns {Finding} */
function ofInstances(instances, now) {
  const [{ clouddriverId, state, reason }] = instances;
  const [start] = instances.flatMap(({ since: one }) => one ?? []).sort();
  return {
    key: `replica ${clouddriverId}`,
    tone: state === 'ready' ? 'warn' : 'bad',
    state: state === 'ready' ? 'degraded' : state,
    subject: html`<span class="what">${instances.length === 1 ? 'Replica' : 'Replicas'}</span>
      ${instances.map(({ clouddriverId: id }) => html`<span class="id">${id}</span> `)}`,
    since: start === undefined ? undefined : moment(start, now),
    why: html`<span class="error">${reason ?? 'It gives no reason.'}</span>`,
    target: undefined,
  };
}

/** @param {MissingAgent} agent @param {readonly OfflineAccount[]} left accounts that nobody serves @param {number} now @returns {Finding} */
function ofAgent({ agentId, offlineSince, lastClouddriverId, reason, message, accounts, someAccounts }, left, now) {
  const lost = left.filter(({ lastAgentId }) => lastAgentId === agentId).map(({ name }) => name);
  const names = lost.length > 0 ? lost.slice(0, shown) : someAccounts;
  const others = (lost.length > 0 ? lost.length : accounts) - names.length;
  return {
    key: `agent ${agentId}`,
    tone: 'bad',
    state: 'offline',
    subject: html`<span class="what">Agent</span> <a class="id" href=${agentHref(agentId)}>${agentId}</a>${
        names.length === 0
          ? nothing
          : html`<span class="also"
              >${lost.length > 0 ? 'nobody serves' : 'others serve'}
              ${names.map((name) => html`${accountLink(name)} `)}${others > 0 ? `and ${count(others)} more` : nothing}</span
            >`
      }`,
    since: moment(offlineSince, now),
    why: html`<span class="error">${sentence(reason, message)}; last seen at ${lastClouddriverId}</span>`,
    target: agentHref(agentId),
  };
}

/** @param {readonly [OfflineAccount, ...OfflineAccount[]]} accounts of one agent @param {number} now @returns {Finding} */
function ofOfflineAccounts(accounts, now) {
  const [{ offlineSince, lastAgentId, lastClouddriverId, reason, message }] = accounts;
  const others = accounts.length - Math.min(shown, accounts.length);
  return {
    key: `accounts of ${lastAgentId}`,
    tone: 'bad',
    state: 'offline',
    subject: html`<span class="what">${accounts.length === 1 ? 'Account' : 'Accounts'}</span>
      ${accounts.slice(0, shown).map(({ name }) => html`${accountLink(name)} `)}${others > 0 ? `and ${count(others)} more` : nothing}`,
    since: moment(offlineSince, now),
    why: html`<span class="error"
      >agent <a href=${agentHref(lastAgentId)}>${lastAgentId}</a>: ${sentence(reason, message)}; last seen at
      ${lastClouddriverId}</span
    >`,
    target: agentHref(lastAgentId),
  };
}

/** @param {FailingAccount} account @param {number} now @returns {Finding} */
function ofFailing(account, now) {
  const { ongoing, last15Minutes, lastHour, orEarlier, lastOutcome, lastMessage, lastOperationId } = account;
  return {
    key: `failing ${account.account}`,
    tone: ongoing ? 'bad' : 'warn',
    state: ongoing ? 'failing' : 'has failed',
    subject: html`<span class="what">Account</span> ${accountLink(account.account)}<span class="also"
        ><a href=${href('operations', { account: account.account, outcome: 'failures', range: '1h' })}
          >${count(last15Minutes)} in 15 min, ${count(lastHour)} in the last hour</a
        >${ongoing ? nothing : ', completes again'}</span
      >`,
    since: html`${orEarlier ? 'before ' : nothing}${moment(account.since, now)}`,
    why: html`<span class="error"
      ><a href=${operationHref(lastOperationId)}>${lastOutcome}</a
      >${lastMessage === undefined ? nothing : `: ${lastMessage}`}</span
    >`,
    target: accountHref(account.account),
  };
}

/** @param {Attention['accounts']} accounts @returns {Finding} */
function ofUncached({ uncached, uncachedNames }) {
  const others = uncached - Math.min(shown, uncachedNames.length);
  return {
    key: 'uncached',
    tone: 'warn',
    state: 'not cached',
    subject: html`<a href=${href('accounts', { cached: 'false' })}>${counted(uncached, 'account')}</a>`,
    why: html`<span class="error"
      >${uncachedNames.slice(0, shown).map((name) => html`${accountLink(name)} `)}${others > 0 ? `and ${count(others)} more` : nothing}</span
    >`,
    target: href('accounts', { cached: 'false' }),
  };
}

/** @param {string} key @param {number} number @param {string} one @param {string} state @param {string} target @returns {Finding[]} */
function more(key, number, one, state, target) {
  if (number <= 0) return [];
  const subject = html`<a href=${target}>${counted(number, `more ${one}`)}</a>`;
  return [{ key: `more ${key}`, tone: 'bad', state, subject, why: nothing, target }];
}

/** @param {string} iso @param {number} now */
function moment(iso, now) {
  return html`${since(iso, now)} <span class="visually-hidden">${zoneLabel()}</span>`;
}

/** @param {string} reason @param {string | undefined} message */
function sentence(reason, message) {
  return message === undefined ? reason : `${reason}: ${message}`;
}
