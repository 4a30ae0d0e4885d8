#!/usr/bin/env node
/** The process: arguments, configuration, signals, exit code. Each command is a file of src/commands. */

import { readFileSync } from 'node:fs';
import { GatewayError, messageOf } from './core/errors.js';

const usage = `Usage: agent-gateway COMMAND [--config FILE] [--KEY=VALUE ...]

Commands:
  serve      run one replica of the gateway
  agent      serve the accounts of a cluster to the gateway (see agent --help)
  migrate    bring the database's tables up to date, and exit
  doctor     check configuration, SQL, Redis, Kubernetes, ports and TLS files, and say what to do
  simulate   run simulated agents, and a load of operations, against a gateway (see simulate --help)
  ops send|get|list|watch   send operations to a running gateway and look at them (see ops send --help)
  agents, accounts, instances   list what a running gateway knows
  completion bash|zsh|fish   print the completion script of a shell
  version    print the version

Every key of the configuration (docs/configuration.md) is a flag: --kubesvc.grpc.server.port=9091
`;

/** An interrupted command's exit code (128 + SIGINT). */
const interrupted = 130;

async function main(args: readonly string[]): Promise<number> {
  const [command = 'help', ...flags] = args;
  const signal = stopSignal();
  const { stdout, stderr } = process;
  const sources = { environment: process.env, flags };
  switch (command) {
    case 'serve': {
      const [{ serve }, { loadConfig }] = await Promise.all([
        import('./commands/serve.js'),
        import('./gateway/config.js'),
      ]);
      const { environment } = sources;
      return serve({ loaded: loadConfig(sources), version: version(), environment, signal, stdout, stderr });
    }
    case 'agent': {
      const { runAgent } = await import('./commands/agent.js');
      return runAgent(flags, { version: version(), environment: process.env, signal, stdout });
    }
    case 'migrate': {
      const [{ runMigrate }, { loadConfig }] = await Promise.all([
        import('./commands/migrate.js'),
        import('./gateway/config.js'),
      ]);
      return runMigrate(loadConfig(sources).config, { signal, stdout });
    }
    case 'doctor': {
      const { doctor } = await import('./commands/doctor.js');
      return doctor(sources, { write: (text) => stdout.write(text), signal });
    }
    case 'simulate': {
      const { runSimulate } = await import('./commands/simulate.js');
      return runSimulate(flags, { stdout, stderr, environment: process.env, signal });
    }
    case 'ops':
    case 'agents':
    case 'accounts':
    case 'instances':
    case 'completion': {
      const { runClient } = await import('./commands/client.js');
      return runClient(args, { stdin: process.stdin, stdout, stderr, environment: process.env, signal });
    }
    case 'version':
    case '--version':
      stdout.write(`${version()}\n`);
      return 0;
    case 'help':
    case '--help':
    case '-h':
      stdout.write(usage);
      return 0;
    default:
      throw new GatewayError('configuration', `unknown command "${command}"\n\n${usage}`);
  }
}

/** Aborted by the first SIGTERM or SIGINT; the second one ends the process at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(interrupted);
    controller.abort(new GatewayError('cancelled', 'stopped by a signal'));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return controller.signal;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
    // Whatever a library has left open must not keep a stopped process alive.
    setTimeout(() => process.exit(code), 1_000).unref();
  },
  (error: unknown) => {
    process.stderr.write(`agent-gateway: ${messageOf(error)}\n`);
    process.exit(error instanceof GatewayError && error.code === 'configuration' ? 2 : 1);
  },
);
