/** The two fences between processes of one agent id: either holds alone. Patches that remove them. */

export const agentsOwnCheck = {
  file: 'src/agent/operation-runner.ts',
  from: '!this.#options.isOwn(operation)',
  to: 'false',
};

export const sameProcess = [
  {
    file: 'src/gateway/agents/delivery.ts',
    from: 'return binding.processId !== undefined && binding.processId === connection.processId;',
    to: 'return true;',
  },
  {
    file: 'src/gateway/agents/delivery.ts',
    from: 'binding.processId !== connection.processId',
    to: 'false',
  },
];
