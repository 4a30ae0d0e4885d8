/** `agent-gateway simulate` as a person runs it, against doubles of both ports. */

import { test } from 'tap';
import { startCommand } from '../commands/run-command.js';
import { freePort } from '../free-port.js';
import { startGatewayDouble } from '../agent/gateway-double.js';
import { waitFor } from '../wait.js';
import { startRestDouble } from './rest-double.js';

const run = (argv: readonly string[], { isTTY = false } = {}) => {
  const { texts: text, ...rest } = startCommand(['simulate', ...argv], { isTTY });
  return { text, ...rest };
};

test('wrong flags are named, and end with 2', async (t) => {
  const wrong: [string[], RegExp][] = [
    [['--agents', 'many'], /^agent-gateway: --agents must be a whole number from 0 to \d+, not "many"/],
    [['--agents', '0'], /^agent-gateway: --agents must be 1 or more/],
    [['--agents', '0', '--operations', '1'], /^agent-gateway: --account must name an account/],
    [['--failure-rate', '1.5'], /^agent-gateway: --failure-rate must be a number from 0 to 1, not "1.5"/],
    [['--gateway', 'http://localhost:9091'], /^agent-gateway: --gateway must be HOST:PORT/],
    [['--gateway', 'localhost:99999'], /^agent-gateway: --gateway must be HOST:PORT/],
    [['--rest', 'localhost:7002'], /^agent-gateway: --rest must be a URL/],
    [['--operations', '1', '--kinds', 'get,steal'], /^agent-gateway: --kinds must be of deploy, .*, not "get,steal"/],
    [['--rate', '1', '--concurrency', '1'], /^agent-gateway: --rate and --concurrency exclude each other/],
    [['--output', 'xml'], /^agent-gateway: --output must be one of text, json, not "xml"/],
    [['--token-file', '/none', '--operations', '1'], /^agent-gateway: --token-file: ENOENT/],
    [['--agents-token-file', '/none'], /^agent-gateway: --agents-token-file.*: \/none cannot be read/],
    [['--cert', '/none'], /^agent-gateway: give both --cert and --key, or neither/],
    [['--agnets', '1'], /^agent-gateway: no such flag: --agnets; did you mean --agents\?/],
  ];
  for (const [argv, message] of wrong) {
    const { text, code } = run(argv);
    t.equal(await code, 2, argv.join(' '));
    t.match(text.err, message);
    t.match(text.err, /--help\n$/);
  }
});

test('--help prints every flag', async (t) => {
  const { text, code } = run(['--help']);
  t.equal(await code, 0);
  for (const flag of ['--agents', '--gateway', '--rest', '--rate', '--seed', '--output']) t.match(text.out, flag);
});

test('without a load the agents stay, and the next command is ready to paste', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => gateway.stop());
  const { text, code, stop } = run(['--gateway', gateway.address, '--rest', 'http://gw.example:7002/']);
  await waitFor(() => text.out.includes('curl'));
  t.match(text.out, `3 agents connected to ${gateway.address}, 6 accounts: sim-0-0 ... sim-2-1.`);
  t.match(text.out, 'curl -s http://gw.example:7002/armory/agent/operations');
  const body = /-d '(.*)'/.exec(text.out)?.[1] ?? '';
  t.match(JSON.parse(body), { operation: { account: 'sim-0-0', get: { object: { kind: 'Deployment' } } } });
  stop();
  t.equal(await code, 0);
  t.match(text.out, 'executed 0 operations');
});

test('a gateway that is not there is told once, and tried again', async (t) => {
  const port = await freePort();
  const { text, code, stop } = run(['--gateway', `127.0.0.1:${port}`, '--agents', '5']);
  await waitFor(() => text.err.includes('retrying'));
  t.match(text.err, new RegExp(`^sim-agent-0: gateway 127.0.0.1:${port}: connect ECONNREFUSED [^;]*; retrying\\n$`));
  const gateway = await startGatewayDouble({ port });
  t.teardown(() => gateway.stop());
  await waitFor(() => text.out.includes('5 agents connected'));
  stop();
  t.equal(await code, 0);
});

test('a load prints its report, as JSON where asked', async (t) => {
  const gateway = await startGatewayDouble();
  const rest = await startRestDouble(() => ({ status: 200, body: { operation: {}, result: { status: 200 } } }));
  t.teardown(() => {
    gateway.stop();
    return rest.close();
  });
  const where = ['--gateway', gateway.address, '--rest', rest.url];
  const json = run([...where, '--agents', '1', '--operations', '20', '--output', 'json']);
  t.equal(await json.code, 0);
  t.match(JSON.parse(json.text.out), { sent: 20, outcomes: { completed: 20 } });
  t.match(rest.requests[0]?.operation['account'], /^sim-0-[01]$/);
  const table = run([...where, '--agents', '1', '--rate', '40', '--duration', '0.7'], { isTTY: true });
  t.equal(await table.code, 0);
  t.match(table.text.out, /completed +\d\d\n/);
  // eslint-disable-next-line no-control-regex -- the terminal's "erase line" is what is looked for
  t.match(table.text.err, /\r\x1b\[K\d s: \d+ answered[^\n]*\r\x1b\[K$/);
});

test('a load ends with 1 when REST or the gateway cannot be reached', async (t) => {
  const gateway = await startGatewayDouble();
  const rest = await startRestDouble(() => ({ status: 200, body: {} }));
  t.teardown(() => {
    gateway.stop();
    return rest.close();
  });
  const closed = await freePort();
  const noRest = run(['--gateway', gateway.address, '--rest', `http://127.0.0.1:${closed}`, '--operations', '1']);
  t.equal(await noRest.code, 1);
  t.match(noRest.text.err, `REST cannot be reached: http://127.0.0.1:${closed}: connect ECONNREFUSED`);
  const noGateway = run([
    '--gateway',
    `127.0.0.1:${closed}`,
    '--rest',
    rest.url,
    '--operations',
    '1',
    '--ready-timeout',
    '0.1',
  ]);
  t.equal(await noGateway.code, 1);
  t.match(noGateway.text.err, `only 0 of 3 agents connected to 127.0.0.1:${closed} in 0.1 s`);
});
