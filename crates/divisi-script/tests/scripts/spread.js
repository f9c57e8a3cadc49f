// Spreads into objects, and the rests of patterns that look like them. What Node 20 returns is in
// spread.json.
export const meta = { name: 'spread', description: 'Spreads and rests' }

const out = []
const s = 'ab', o = { p: 1, q: { r: 2, t: 3 }, l: [{ m: 1, n: 2 }] }
out.push({ ...s, ...o.q })
const { p, ...rest } = o; out.push(rest)
const { q: { r, ...qr }, l: [{ m, ...lm }] } = o; out.push(qr, lm)
let a, b; ({ p: a, ...b } = o); out.push(a, b)
for (const { m, ...x } of o.l) out.push(x)
for (let { m, ...x } of [{ ...s, m: 1 }]) out.push(x)
const f = ({ p, ...r } = { ...s }, { q, ...z } = {}) => ({ ...r, ...z, f: 1 }); out.push(f(), f(o, o))
function g({ p, ...r }, ...more) { return { ...r, more: [...more] } } out.push(g(o, ...'xy'))
class K { m({ p, ...r }) { return { ...r } } static s = { ...s } } out.push(new K().m(o), K.s)
try { throw { u: 1, v: 'w' } } catch ({ u, ...e }) { out.push({ ...e }) }
out.push(`${JSON.stringify({ ...s, t: `${{ ...s }[0]}` })}`)
out.push(((x) => ({ ...(x ? { ...s } : {}), ...(!x && 'no'), k: { ...x } }))('yz'))
out.push([1, 2].reduce((acc, n) => ({ ...acc, [n]: { ...acc } }), {}))
out.push({ ...[...'hi'].map((c) => c + 1), ...new Map([[1, 2]]), ...new Date(0), ...(() => 1), ...Symbol('x') })
out.push({ get z() { return { ...s } }, async *h({ ...r }) { yield { ...r } }, ...{ [`k${1}`]: 'v' } })
if ({ ...s }[1] === 'b') { out.push('if') }
out.push(typeof { ...s }, { ...s }?.[0], 'x' in { ...s }, { ...s, a: 1 } == s)
const h = async ({ ...r }) => { const { ...c } = r; return { ...c, ...await Promise.resolve('zz') } }
out.push(await h({ y: 1 }))
switch (1) { case 1: { out.push({ ...s }); break } }
label: for (const k in { ...s }) { out.push(k); continue label }
out.push([{ ...s }, [{ ...s }]], ((...[{ ...r }]) => r)('pq'))
var { ...v1 } = 'st', v2 = { ...'uv' }; out.push(v1, v2)
const deflt = ({ a = { ...s }, b: { c, ...d } = { ...s, c: 1 }, ...e }) => [a, d, e]; out.push(deflt({ zz: 1 }))
out.push({ ...s
, ...o
.q })
out.push({ /* ...c */ ...s /* } */, ...`t${'}'}` })
out.push({ ...s.replace(/[{}]/g, '') , ...(/,/.test(s), 'c,d') })
out.push((() => { return { ...s } })(), { ...s ?? 'n' }, { ...s || 'n' }, { ...s ? 'c' : 'd', e: s ? { ...s } : 1 })

return out
