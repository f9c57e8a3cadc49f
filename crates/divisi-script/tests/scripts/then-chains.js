export const meta = { name: 'then-chains', description: 'Promises chained by hand, with a hash for a seed and URLs by host' }

const hash = (text) => [...text].reduce((h, c) => (Math.imul(h, 31) + c.charCodeAt(0)) | 0, 7) >>> 0
const host = (url) => {
  try {
    return new URL(url).hostname.replace(/^www\./, '')
  } catch {
    return 'none'
  }
}

const sources = ['https://www.example.org/a?x=1', 'http://example.org:80/b', 'not a url']
const chains = sources.map((url, i) =>
  agent(`Fetch ${url} (seed ${hash(url) % 1_000}).`, { label: `fetch:${i}` })
    .then((page) => page.slice(0, 40))
    .then((head) => agent(`Sum up: ${head}`, { label: `sum:${i}` }))
    .then((summary) => ({ host: host(url), summary }))
    .catch((error) => ({ host: host(url), error: error.message.split(' ').slice(0, 3).join(' ') }))
    .finally(() => log(`done with ${host(url)}`)),
)
const settled = await Promise.allSettled(chains)
const first = await Promise.any(chains)
return { hosts: [...new Set(settled.map(({ value }) => value.host))], settled: settled.map(({ value }) => value), first: first.host }
