// Scatter-gather: three reviews at the same time, and one plan made of them.
//
// The prompt of `gather()` names the missing parts and why. Joining the texts
// by hand would present two reviews as if they were all three.
//
//   divisi run examples/reviews.js --max-cost 3
export const meta = {
  name: 'reviews',
  description: 'Three reviews of a change, and one action plan',
  phases: [{ title: 'Review' }, { title: 'Plan' }],
};

const LENSES = {
  security: 'ways in which somebody could do what they may not do',
  performance: 'work that is done too often, too early or for nothing',
  maintainability: 'what the next person will misunderstand',
};

phase('Review');
const lenses = Object.entries(LENSES);
const reviews = await parallel(
  lenses.map(([lens, what]) => () =>
    agent(`Review the source code in this folder for ${lens}: ${what}. Name file and line of each finding.`, {
      label: lens,
      kind: 'review',
      model: 'sonnet',
    }),
  ),
);

phase('Plan');
const parts = Object.fromEntries(lenses.map(([lens], index) => [lens, reviews[index]]));
return gather('Make one action plan from these reviews: what first, what later, what not at all.', parts, {
  label: 'plan',
  model: 'sonnet',
  minParts: 2,
});
