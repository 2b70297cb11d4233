// What the strip's buttons do.

import { api } from '../../scripts/api.js'
import { queueWithSeed } from './same_seeds.js'
import { isLinked, widgetOf } from './sampler_widgets.js'

const LARGEST_SEED = 2 ** 32

/** Asks the server to pause a run after the window in the making; whether it will. Another run is left as it is. */
export async function pauseRun(promptId) {
  const query = new URLSearchParams({ prompt_id: promptId })
  const response = await api.fetchApi(`/evertalk/pause?${query}`, { method: 'POST' })
  return response.ok
}

/** Interrupts the run; the server keeps what is finished. */
export function stopRun(promptId) {
  return api.interrupt(promptId)
}

/** Queues a run of the sampler at a place again with the seed it had: the editor may have drawn another since. */
export function queueAgain(place, { seed, promptId }) {
  return queueWithSeed(place, seed, promptId)
}

/** Whether the sampler can make one window anew. */
export function canReroll(node) {
  return Boolean(widgetOf(node, 'window_seeds')) && !isLinked(node, 'window_seeds')
}

/** The text of `window_seeds` with another seed for one window, counted from 1. */
export function withSeed(seeds, window, seed) {
  const others = seeds
    .split(/[,;\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry && Number(entry.split(':')[0]) !== window)
  return [...others, `${window}: ${seed}`].join(', ')
}

/** Gives a window of a run, counted from 1, another seed and queues the run again. */
export function reroll(place, window, run) {
  const widget = widgetOf(place.node, 'window_seeds')
  widget.value = withSeed(String(widget.value ?? ''), window, Math.floor(Math.random() * LARGEST_SEED))
  return queueAgain(place, run)
}
