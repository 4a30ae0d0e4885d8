/** What takes streams both ways: exec, cp, attach, port-forward. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { freePort } from '../free-port.js';
import { waitFor } from '../wait.js';
import { pod } from './objects.js';
import type { Conversation, Session } from './session.js';

const mebibyte = 1_048_576;

/** Commands in containers, with and without a terminal; files both ways. */
export async function streams(session: Session): Promise<void> {
  const { kubectl, failing } = session;
  const talk =
    'echo ready; while read line; do echo "got $line"; echo "heard $line" >&2; [ "$line" = end ] && exit 0; done';
  const listening = pod('listening', { command: ['sh', '-c', talk], stdin: true });
  await kubectl('apply', '-f', await session.file('talkative.json', pod('talkative'), listening));
  await kubectl('wait', '--for=condition=Ready', 'pod/talkative', 'pod/listening');

  await failing('exec', 'talkative', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7');
  const apart = await session.run(['exec', 'talkative', '--', 'sh', '-c', 'echo out; echo err >&2'], {
    recorded: false,
  });
  session.note(`${String(apart.code)} ${apart.stdout.toString()} | ${apart.stderr}`);
  await session.run(['exec', '-i', 'talkative', '--', 'wc', '-c'], { stdin: 'four' });
  await failing('exec', 'talkative', '--', 'no-such-program');
  await failing('exec', 'talkative', '-c', 'other', '--', 'true');
  await failing('exec', 'missing', '--', 'true');
  const bytes = randomBytes(mebibyte);
  const { stdout } = await session.run(['exec', '-i', 'talkative', '--', 'cat'], { stdin: bytes, recorded: false });
  session.note(`bytes come back: ${String(stdout.equals(bytes))}`);

  const shell = session.onTerminal(
    ['exec', '-it', 'talkative', '--', 'sh', '-c', 'tty; read name; echo "hallo $name"; exit 5'],
    {
      open: true,
    },
  );
  await shell.said('/dev/pts/');
  shell.write('you\n');
  await note(session, shell);

  const [sent, inside, back] = [session.path('sent'), session.path('inside'), session.path('back')];
  await mkdir(inside, { recursive: true });
  await writeFile(sent, bytes);
  await kubectl('cp', sent, `talkative:${inside}/file`);
  session.note(`arrived: ${String((await readFile(`${inside}/file`)).equals(bytes))}`);
  await kubectl('cp', `talkative:${inside}/file`, back);
  session.note(`came back: ${String((await readFile(back)).equals(bytes))}`);

  const attached = session.start(['attach', '-i', 'listening'], { open: true });
  // What it says before somebody listens is lost: so it is said again until it is heard.
  await waitFor(
    () => {
      if (!attached.stdout.includes('got')) attached.write('one\n');
      return attached.stdout.includes('got one') && attached.stderr.includes('heard one');
    },
    { description: 'what is attached to answer', intervalMs: 200 },
  );
  attached.write('end\n');
  const { code } = await attached.ended();
  session.note(`attached: ${String(code)}, ${String(attached.stdout.includes('got end'))}`);
  await kubectl('delete', 'pod', 'talkative', 'listening');
}

/** Connections to a port of a pod: many, large, and one that nobody answers. */
export async function forwards(session: Session): Promise<void> {
  await session.kubectl('apply', '-f', await session.file('serving.json', pod('serving')));
  await session.kubectl('wait', '--for=condition=Ready', 'pod/serving');
  const echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const closed = await freePort();
  const { port } = echo.address() as AddressInfo;
  const forwarding = session.start([
    ...['port-forward', '--address=127.0.0.1', 'pod/serving', `:${String(port)}`, `:${String(closed)}`],
  ]);
  try {
    const line = (remote: number): RegExp => new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${String(remote)}`, 'u');
    await forwarding.said(line(port));
    await forwarding.said(line(closed));
    const [open, refused] = [port, closed].map((remote) =>
      Number(line(remote).exec(forwarding.stdout.toString())?.[1]),
    );
    for (const sizes of [[5], [mebibyte], Array.from({ length: 8 }, (_, index) => 65_536 * (index + 1))]) {
      const same = await Promise.all(sizes.map((size) => echoed(open ?? 0, size)));
      session.note(`echoed: ${same.join()}`);
    }
    session.note(`refused: ${String(await echoed(refused ?? 0, 5))}`);
    await waitFor(() => forwarding.stderr.includes('refused'), { description: 'the refusal in its errors' });
  } finally {
    const { code } = await forwarding.interrupt();
    session.note(`port-forward: ${String(code)}`);
    echo.close();
  }
  await session.kubectl('delete', 'pod', 'serving');
}

/** Sends random bytes, and gives whether the same come back. */
async function echoed(port: number, size: number): Promise<boolean> {
  const bytes = randomBytes(size);
  const socket = connect({ host: '127.0.0.1', port });
  socket.setTimeout(30_000, () => socket.destroy());
  const received: Buffer[] = [];
  socket.on('data', (data: Buffer) => {
    received.push(data);
    // kubectl passes no half-closed connection on (kubernetes/kubernetes#27680).
    if (received.reduce((sum, { length }) => sum + length, 0) >= size) socket.end();
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(received).equals(bytes);
}

async function note(session: Session, conversation: Conversation): Promise<void> {
  const { code, stdout, stderr } = await conversation.ended();
  session.note(`${stdout.toString()}${stderr}=> ${String(code)}`);
}
