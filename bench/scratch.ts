import { startMariaDb } from '../test/services/mariadb.js';
import { startRedis } from '../test/services/redis.js';
import { freePort } from '../test/free-port.js';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { Child } from './child.js';
import { createDatabase } from './servers.js';
import { request } from 'undici';
import { execFileSync } from 'node:child_process';

const N = Number(process.env.N ?? 2000);
const extra = (process.env.EXTRA ?? '').split(' ').filter(Boolean);
const main = process.env.MAIN ?? 'dist/main.js';
const mariaDb = await startMariaDb();
const redis = await startRedis();
const rest = await freePort(), agents = await freePort();
const url = await createDatabase(mariaDb.url, 'scratch');
const gw = new Child(main, { execArgv: ['--expose-gc', '--import=./bench/probe.js', ...(process.env.NODEARGS ?? '').split(' ').filter(Boolean)], args: ['serve', '--instance.id=r0', `--instance.baseUrl=http://127.0.0.1:${rest}`, '--server.address=127.0.0.1', `--server.port=${rest}`, '--kubesvc.grpc.server.address=127.0.0.1', `--kubesvc.grpc.server.port=${agents}`, '--kubesvc.cluster=static', `--kubesvc.cluster-static.instances=http://127.0.0.1:${rest}`, '--kubesvc.drain.endpointRemovalMs=0', '--kubesvc.drain.timeoutMs=2000', '--kubesvc.drain.reconnectSpreadMs=0', `--sql.url=${url}`, `--redis.connection=${redis.url}`, '--logging.level=warn', ...extra] });
for (;;) { try { const r = await request(`http://127.0.0.1:${rest}/readyz`); await r.body.dump(); if (r.statusCode === 200) break; } catch {} await delay(100); }
const db = await createConnection({ uri: url });
const questions = async () => { const [r] = await db.query("show global status like 'Questions'"); return Number((r as any)[0].Value); };
const commands = () => { const t = execFileSync('redis-cli', ['-u', redis.url, 'info', 'stats']).toString(); return Number(/total_commands_processed:(\d+)/.exec(t)![1]); };
const worker = new Child('bench/idle-agents.ts', { execArgv: ['--import=tsx', ...(process.env.APROF ? ['--cpu-prof', '--cpu-prof-dir=/tmp/aprof'] : [])], callTimeoutMs: 300_000, args: [] });
await worker.call('connect', { address: `127.0.0.1:${agents}`, agents: 10, objects: 0 });
await worker.call('disconnect');
await delay(3000);
const m0: any = await gw.call('memory');
const t0 = performance.now(); const c00: number = await gw.call('cpu'); const q00 = await questions();
await worker.call('connect', { address: `127.0.0.1:${agents}`, agents: N, objects: 0 });
const t1 = performance.now(); const c01: number = await gw.call('cpu'); const q01 = await questions();
console.log(`connected ${N} in ${((t1 - t0) / 1000).toFixed(1)} s, gateway cpu ${((c01 - c00) / 1e6).toFixed(1)} s (${((c01 - c00) / 1000 / N).toFixed(2)} ms each), ${((q01 - q00) / N).toFixed(2)} statements each`);
await delay(Number(process.env.SETTLE ?? 6000));
const m1: any = await gw.call('memory');
console.log(`rss/agent ${((m1.rss - m0.rss) / 1024 / N).toFixed(1)} KiB, heap+ext ${((m1.heapUsed + m1.external - m0.heapUsed - m0.external) / 1024 / N).toFixed(1)} KiB`);
if (process.env.SNAP) { await gw.call('snapshot', process.env.SNAP); }
if (process.env.PROF) await gw.call('startProfile');
for (let i = 0; i < Number(process.env.ROUNDS ?? 2); i++) {
  const a = performance.now(), ca: number = await gw.call('cpu'), qa = await questions(), ra = commands();
  await delay(10_000);
  const b = performance.now(), cb: number = await gw.call('cpu'), qb = await questions(), rb = commands();
  const s = (b - a) / 1000;
  console.log(`rest: cpu ${((cb - ca) / 1e4 / s).toFixed(1)} %, ${((qb - qa) / s).toFixed(1)} sql/s, ${((rb - ra) / s).toFixed(1)} redis/s`);
}
if (process.env.PROF) await gw.call('stopProfile', process.env.PROF);
if (process.env.STOPTEST) {
  const st = async () => { const w: any = await worker.call('stats'); return w; };
  process.kill(gw.pid, 'SIGSTOP'); await delay(20_000); process.kill(gw.pid, 'SIGCONT'); const w0 = performance.now();
  for (let i = 0; i < 12; i++) { await delay(2500); const c1: number = await gw.call('cpu'), q1 = await questions(); await delay(0); const a: any = await (await request(`http://127.0.0.1:${rest}/armory/agents`)).body.json(); console.log(((performance.now() - w0) / 1000).toFixed(1), 'cpu', (c1 / 1e6).toFixed(1), 'q', q1, 'agents', a.length, JSON.stringify(await st())); }
}
const r = await request(`http://127.0.0.1:${rest}/armory/agents`); console.log('agents', ((await r.body.json()) as any[]).length);
await gw.stop(); if (process.env.APROF) { process.kill(worker.pid, 'SIGINT'); await delay(4000); } await worker.kill(); await db.end(); await redis.stop(); await mariaDb.stop();
