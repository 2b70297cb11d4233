// Keeps an advanced widget in sight while it holds something else than its default, or a link: what acts is seen.
//
// The editor itself shows and hides all others together, in nodes that are elements of the page; the canvas shows
// every widget. Nothing of this is saved with the workflow.

import { app } from '../../scripts/app.js'
import { isLinked, widgetOf } from './sampler_widgets.js'

const defaults = new Map() // a node's type -> [name, default] of each advanced widget

/** Remembers the advanced widgets of a node definition. */
export function learnAdvanced(nodeData) {
  const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional }
  const marked = Object.entries(inputs).filter(([, [, options]]) => options?.advanced)
  const all = marked.map(([name, [kind, options]]) => [name, options.default ?? choicesOf(kind, options)[0]])
  if (all.length) defaults.set(nodeData.name, all)
}

function choicesOf(kind, options) {
  return Array.isArray(kind) ? kind : options.options ?? []
}

/** Brings the shown graph's nodes in line with what their advanced widgets hold. */
export function showAdvancedInUse() {
  for (const node of app.canvas?.graph?.nodes ?? []) {
    for (const [name, value] of defaults.get(node.type) ?? []) {
      const widget = widgetOf(node, name)
      if (!widget?.options) continue
      const isAdvanced = widget.value === value && !isLinked(node, name)
      if (Boolean(widget.options.advanced) !== isAdvanced) widget.options.advanced = isAdvanced
    }
  }
}
