// What the strip's buttons do.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { isLinked, widgetOf } from './sampler_widgets.js'

const LARGEST_SEED = 2 ** 32

/** Asks the server to pause behind the window in the making; whether it knows how. */
export async function pauseRun() {
  const response = await api.fetchApi('/evertalk/pause', { method: 'POST' })
  return response.ok
}

/** Interrupts the run; the server keeps what is finished. */
export function stopRun(promptId) {
  return api.interrupt(promptId)
}

/** Queues the run again with the seed it had: the widget may have drawn another since. */
export function queueAgain(node, seed) {
  const widget = widgetOf(node, 'seed')
  if (widget && Number.isSafeInteger(seed) && !isLinked(node, 'seed')) widget.value = seed
  return app.queuePrompt(0, 1)
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

/** Gives a window, counted from 1, another seed and queues the run again. */
export function reroll(node, window, seed) {
  const widget = widgetOf(node, 'window_seeds')
  widget.value = withSeed(String(widget.value ?? ''), window, Math.floor(Math.random() * LARGEST_SEED))
  return queueAgain(node, seed)
}
