// A choice on a loader that only one scheduler goes with is followed by the samplers that it feeds.
//
// Which weights those are, their scheduler and their size stand in the definition of the loader's widget `mode`:
// option `scheduler_of` { "flashtalk": ["flashtalk", "flashtalk_2"] }, the first being taken, and `sampler_of`, what else
// is set on the sampler then. Mode auto goes by names.

import { placesOfType, sourceOf } from './graph.js'
import { isLinked, setWidgets, widgetOf } from './sampler_widgets.js'

const DECIDING = ['base_model', 'talk_model', 'mode']
const SCHEDULER = 'scheduler'
const NODES_BETWEEN = 64 // LoRA loaders and the like

/** The options `scheduler_of` and `sampler_of` of a node definition's widget `mode`; undefined where it has none. */
export function schedulersOf(nodeData) {
  const options = nodeData.input?.required?.mode?.[1]
  return options?.scheduler_of && { schedulers: options.scheduler_of, settings: options.sampler_of ?? {} }
}

/** The mode with a scheduler of its own that is chosen on a loader; undefined if any scheduler may go with it. */
function modeOf(loader, schedulers) {
  const [base, talk, mode] = DECIDING.map((name) => String(widgetOf(loader, name)?.value ?? '').toLowerCase())
  if (mode !== 'auto') return mode in schedulers ? mode : undefined
  return Object.keys(schedulers).find((name) => base.includes(name) || talk.includes(name))
}

function isFedBy(place, loader) {
  for (let passed = 0; place && passed < NODES_BETWEEN; passed += 1) {
    if (place.node === loader) return true
    const slot = place.node.inputs?.findIndex((input) => input.name === 'model') ?? -1
    place = slot < 0 ? null : sourceOf(place, slot)
  }
  return false
}

function follow(loader, { schedulers, settings }, samplerType) {
  const mode = modeOf(loader, schedulers)
  if (!mode) return
  const wanted = schedulers[mode]
  for (const place of placesOfType(samplerType)) {
    const widget = !place.node.isInGroup && widgetOf(place.node, SCHEDULER)
    if (!widget || wanted.includes(widget.value) || isLinked(place.node, SCHEDULER) || !isFedBy(place, loader)) continue
    setWidgets(place.node, { [SCHEDULER]: wanted[0], ...settings[mode] })
  }
}

/** From now on a choice that the user makes on a loader is followed; what a workflow holds is not changed. */
export function watchChoices(loader, options, samplerType) {
  for (const widget of loader.widgets?.filter(({ name }) => DECIDING.includes(name)) ?? []) {
    const before = widget.callback
    widget.callback = function (...values) {
      const result = before?.apply(this, values)
      follow(loader, options, samplerType)
      return result
    }
  }
}
