import { test } from 'tap';
import { Histogram } from '../../src/simulate/histogram.js';
import { seededRandom } from '../../src/simulate/random.js';

test('an empty histogram is all zeros', async (t) => {
  const histogram = new Histogram();
  t.same([histogram.count, histogram.max, histogram.mean, histogram.quantile(0.99)], [0, 0, 0, 0]);
});

test('small values, ends and the mean are exact', async (t) => {
  const histogram = new Histogram();
  for (let value = 1; value <= 100; value += 1) histogram.record(value);
  t.equal(histogram.quantile(0.5), 50);
  t.equal(histogram.quantile(0.99), 99);
  t.equal(histogram.quantile(0), 1);
  t.equal(histogram.quantile(1), 100);
  t.equal(histogram.mean, 50.5);
  histogram.record(1e12);
  t.equal(histogram.max, 2 ** 31 - 1, 'what is beyond the range counts as its end');
  histogram.record(-5);
  t.equal(histogram.quantile(0), 0);
});

test('quantiles of values over six powers of ten are off by less than 0.8 %', async (t) => {
  const random = seededRandom(7);
  const histogram = new Histogram();
  const values = Array.from({ length: 20_000 }, () => Math.round(10 ** (1 + 6 * random())));
  for (const value of values) histogram.record(value);
  values.sort((left, right) => left - right);
  for (const fraction of [0.01, 0.1, 0.5, 0.9, 0.99, 0.999]) {
    const exact = values[Math.ceil(fraction * values.length) - 1] ?? 0;
    const error = Math.abs(histogram.quantile(fraction) - exact) / exact;
    t.ok(error < 0.008, `quantile ${fraction}: ${error}`);
  }
});
