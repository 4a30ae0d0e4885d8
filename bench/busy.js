/** Takes a core, until it is ended or the bench is gone. JavaScript, so that it starts without a loader. */

process.on('disconnect', () => process.exit(1));

const work = () => {
  const until = performance.now() + 50;
  while (performance.now() < until);
  setImmediate(work);
};
work();
