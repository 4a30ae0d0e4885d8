/** Numbers and times as people read them, in the one time zone that the user has chosen for the whole page. */

/** @typedef {'local' | 'utc'} Zone */

const numbers = new Intl.NumberFormat('en');

/** @type {Zone} */
let zone = storedZone();
let formats = formatsOf(zone);

function storedZone() {
  try {
    return localStorage.getItem('zone') === 'utc' ? 'utc' : 'local';
  } catch {
    return 'local';
  }
}

/** @param {Zone} wanted */
function formatsOf(wanted) {
  /** @param {Intl.DateTimeFormatOptions} parts */
  const format = (parts) =>
    new Intl.DateTimeFormat('en-GB', { ...parts, ...(wanted === 'utc' ? { timeZone: 'UTC' } : {}) });
  const clock = /** @type {const} */ ({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return {
    minute: format({ hour: '2-digit', minute: '2-digit' }),
    clock: format(clock),
    exact: format({ ...clock, fractionalSecondDigits: 3 }),
    day: format({ day: 'numeric', month: 'short' }),
    date: format({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }),
    offset: format({ timeZoneName: 'shortOffset' }),
  };
}

/** @returns {Zone} */
export function currentZone() {
  return zone;
}

/** Kept in this browser. @param {Zone} wanted */
export function setZone(wanted) {
  zone = wanted;
  formats = formatsOf(wanted);
  try {
    localStorage.setItem('zone', wanted);
  } catch {
    // Storage is off: until the page is closed.
  }
}

/** "UTC", "UTC+2": the offset changes with daylight saving time. @param {Date} [date] */
export function zoneLabel(date = new Date()) {
  const part = formats.offset.formatToParts(date).find(({ type }) => type === 'timeZoneName');
  return (part?.value ?? 'UTC').replace('GMT', 'UTC').replace(/^UTC\+0$/u, 'UTC');
}

/** The one of this browser, as in "Europe/Berlin". */
export function localZoneName() {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** @param {number} value */
export function count(value) {
  return numbers.format(value);
}

/** @param {number} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** @param {number} ms */
export function duration(ms) {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

/** How long something lasts already, roughly. @param {number} ms */
export function age(ms) {
  if (ms < 5_000) return 'just now';
  if (ms < 60_000) return `${Math.floor(ms / 5_000) * 5} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** With the day when it is another one than today. @param {string | number} when ISO 8601, or Unix ms */
export function timeOfDay(when) {
  const date = new Date(when);
  const text = formats.clock.format(date);
  return formats.date.format(date) === formats.date.format(new Date()) ? text : `${formats.day.format(date)} ${text}`;
}

/** Hours and minutes. @param {number} when Unix ms */
export function minuteOfDay(when) {
  return formats.minute.format(new Date(when));
}

/** With milliseconds. @param {string} iso */
export function exactTime(iso) {
  return formats.exact.format(new Date(iso));
}

/** "Sun, 29 Nov 2026 18:03:12.345 UTC+1": all there is to say about a moment. @param {string} iso */
export function fullTime(iso) {
  const date = new Date(iso);
  return `${formats.date.format(date)} ${formats.exact.format(date)} ${zoneLabel(date)}`;
}
