export const meta = { name: 'area', description: 'Looks at one area' }

phase('Look')
const notes = await parallel(Array.from({ length: args.depth }, (_, i) => () => agent(`Look at the ${args.area}, layer ${i}.`)))
args.area = 'changed'
return { area: notes.filter(Boolean).length, notes }
