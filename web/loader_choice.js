// A choice on a loader that only one scheduler goes with is followed by the samplers that it feeds.
//
// Which weights those are, and their scheduler, stands in the definition of the loader's widget `mode` (option
// `scheduler_of`): { "flashtalk": ["flashtalk", "flashtalk_2"] }, the first being taken. Mode auto goes by names.

import { placesOfType, sourceOf } from './graph.js'
import { isLinked, widgetOf } from './sampler_widgets.js'

const DECIDING = ['base_model', 'talk_model', 'mode']
const SCHEDULER = 'scheduler'
const NODES_BETWEEN = 64 // LoRA loaders and the like

/** The option `scheduler_of` of a node definition's widget `mode`; undefined for nodes that are no loaders. */
export function schedulersOf(nodeData) {
  return nodeData.input?.required?.mode?.[1]?.scheduler_of
}

/** The schedulers that go with what is chosen on a loader; undefined if any may. */
function schedulersFor(loader, schedulers) {
  const values = DECIDING.map((name) => String(widgetOf(loader, name)?.value ?? '').toLowerCase())
  if (values[2] !== 'auto') return schedulers[values[2]]
  const named = Object.keys(schedulers).find((name) => values[0].includes(name) || values[1].includes(name))
  return schedulers[named]
}

function isFedBy(place, loader) {
  for (let passed = 0; place && passed < NODES_BETWEEN; passed += 1) {
    if (place.node === loader) return true
    const slot = place.node.inputs?.findIndex((input) => input.name === 'model') ?? -1
    place = slot < 0 ? null : sourceOf(place, slot)
  }
  return false
}

function follow(loader, schedulers, samplerType) {
  const wanted = schedulersFor(loader, schedulers)
  if (!wanted) return
  for (const place of placesOfType(samplerType)) {
    const widget = !place.node.isInGroup && widgetOf(place.node, SCHEDULER)
    if (!widget || wanted.includes(widget.value) || isLinked(place.node, SCHEDULER) || !isFedBy(place, loader)) continue
    widget.value = wanted[0]
    widget.callback?.(wanted[0])
  }
}

/** From now on a choice that the user makes on a loader is followed; what a workflow holds is not changed. */
export function watchChoices(loader, schedulers, samplerType) {
  for (const widget of loader.widgets?.filter(({ name }) => DECIDING.includes(name)) ?? []) {
    const before = widget.callback
    widget.callback = function (...values) {
      const result = before?.apply(this, values)
      follow(loader, schedulers, samplerType)
      return result
    }
  }
}
