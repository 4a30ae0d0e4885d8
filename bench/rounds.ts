/** Cases that are measured in turns, so that whatever else the machine does meets all of them alike. */

/** @returns what was measured of each case in each round, in the order of the cases */
export async function inRounds<Case, Measured>(
  cases: readonly Case[],
  rounds: number,
  measure: (each: Case) => Promise<Measured>,
): Promise<readonly (readonly Measured[])[]> {
  const measured = cases.map((): Measured[] => []);
  for (let round = 0; round < rounds; round += 1) {
    // Every second round goes backwards, so that no case always follows the same other one.
    const order = [...cases.entries()];
    if (round % 2 === 1) order.reverse();
    for (const [index, each] of order) measured[index]?.push(await measure(each));
  }
  return measured;
}
