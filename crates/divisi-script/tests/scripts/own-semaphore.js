export const meta = { name: 'own-semaphore', description: 'No more than two at a time, by a semaphore of its own' }

const semaphore = (permits) => {
  const waiting = []
  const release = () => {
    const next = waiting.shift()
    if (next) next()
    else permits++
  }
  return async (work) => {
    if (permits > 0) permits--
    else await new Promise((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      release()
    }
  }
}

const limited = semaphore(2)
let running = 0
let most = 0
const results = await Promise.all(
  ['a', 'b', 'c', 'd', 'e'].map((name) =>
    limited(async () => {
      most = Math.max(most, ++running)
      const result = await agent(`Migrate ${name}.`, { label: name })
      running--
      return result ?? `${name} was lost`
    }),
  ),
)
return { most, results }
