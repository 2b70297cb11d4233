// Queues the open workflow with the numbers that an earlier run of it was drawn: the editor may have drawn others.
//
// A widget cannot hold them. With the editor's control mode "before" it is drawn anew when the queue is filled, and
// a linked seed is drawn by another node. So they are put into the prompt on its way to the server.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { idOf, valueHolder } from './graph.js'

const CONTROLLED = new Set(['seed', 'noise_seed']) // the editor controls these without being asked
const BUSY_POLL_MS = 50
const drawnIn = new Map() // id of a prompt -> id of a node -> its drawn numbers
let wanted = null // what goes into the next prompt

function isDrawn(type, name) {
  const { required, optional } = globalThis.LiteGraph?.registered_node_types?.[type]?.nodeData?.input ?? {}
  return CONTROLLED.has(name) || Boolean((required?.[name] ?? optional?.[name])?.[1]?.control_after_generate)
}

/** Numbers and choices of a graph in API format that the editor draws, by the nodes' ids. */
export function drawnOf(output) {
  const drawn = {}
  for (const [id, { class_type: type, inputs }] of Object.entries(output ?? {})) {
    const values = Object.entries(inputs).filter(([name, value]) => typeof value !== 'object' && isDrawn(type, name))
    if (values.length) drawn[id] = { type, values: Object.fromEntries(values) }
  }
  return drawn
}

async function drawnFor(promptId) {
  if (drawnIn.has(promptId)) return drawnIn.get(promptId)
  const record = await api
    .fetchApi(`/history/${promptId}`)
    .then((answer) => (answer.ok ? answer.json() : {}))
    .catch(() => ({}))
  return drawnOf(record[promptId]?.prompt?.[2])
}

/** Puts drawn numbers into a graph in API format. */
export function putInto(output, drawn) {
  for (const [id, { type, values }] of Object.entries(drawn)) {
    const node = output[id]
    if (node?.class_type !== type) continue
    for (const [name, value] of Object.entries(values))
      if (name in node.inputs && typeof node.inputs[name] !== 'object') node.inputs[name] = value
  }
}

// What is dropped into the editor later has to be the run that was made.
function putIntoWorkflow(workflow, { node, widget }, seed) {
  const graphs = [workflow, ...(workflow?.definitions?.subgraphs ?? [])]
  const home = node.graph?.isRootGraph === false ? graphs.find(({ id }) => id === node.graph.id) : workflow
  const saved = home?.nodes?.find(({ id }) => String(id) === String(node.id))
  const index = node.widgets.indexOf(widget)
  if (Array.isArray(saved?.widgets_values) && index in saved.widgets_values) saved.widgets_values[index] = seed
}

/** Remembers what each prompt was drawn, and fills the next one; called once. */
export function watchPrompts() {
  const { queuePrompt } = api
  api.queuePrompt = async function (number, prompt, ...rest) {
    const fill = wanted
    wanted = null
    fill?.(prompt)
    const answer = await queuePrompt.call(this, number, prompt, ...rest)
    if (answer?.prompt_id) drawnIn.set(answer.prompt_id, drawnOf(prompt.output))
    return answer
  }
}

/** Queues the open workflow with the seed of a sampler's run, and with all else that the run was drawn. */
export async function queueWithSeed(place, seed, promptId) {
  const { node } = place
  const id = idOf(place)
  const drawn = await drawnFor(promptId)
  const isKnown = Number.isSafeInteger(seed)
  const holder = isKnown ? valueHolder(place, 'seed') : null
  // One at a time, or the numbers would go into a prompt that the user has queued.
  while (app.processingQueue) await new Promise((resolve) => setTimeout(resolve, BUSY_POLL_MS))
  if (holder) holder.widget.value = seed
  wanted = ({ output, workflow }) => {
    putInto(output, drawn)
    if (!isKnown) return
    if (output[id]?.class_type === node.type) output[id].inputs.seed = seed // in place of a link too
    if (holder) putIntoWorkflow(workflow, holder, seed)
  }
  try {
    return await app.queuePrompt(0, 1)
  } finally {
    wanted = null
    const drawsBefore = app.extensionManager?.setting?.get?.('Comfy.WidgetControlMode') === 'before'
    if (holder && drawsBefore) holder.widget.value = seed // it shows the seed of the last run
  }
}
