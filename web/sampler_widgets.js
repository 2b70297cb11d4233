// Greys out `steps` while the scheduler has steps of its own, and says how many.
//
// Which schedulers those are, and their steps, stands in the node's definition (option `fixed_by`), so that the
// numbers have one owner: { "widget": "scheduler", "values": { "multitalk": 4 } }.

import { text } from './texts.js'

const plainLabels = new WeakMap() // widget -> its label while it is not fixed

/** The widget of a node, or undefined. */
export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/** Whether a link brings the widget's value, so that what the widget shows is not used. */
export function isLinked(node, name) {
  const slot = node.inputs?.findIndex((input) => input.widget?.name === name) ?? -1
  return slot >= 0 && node.isInputConnected(slot)
}

/** The steps that the chosen scheduler insists on, or undefined. */
function fixedSteps(node, fixedBy) {
  const chooser = widgetOf(node, fixedBy.widget)
  const isOpen = !isLinked(node, fixedBy.widget) && !isLinked(node, 'steps')
  return chooser && isOpen ? fixedBy.values[chooser.value] : undefined
}

// The canvas reads the one, the editor's nodes of Vue the other.
function setDisabled(widget, isDisabled) {
  widget.disabled = isDisabled
  if (widget.options) widget.options.disabled = isDisabled
}

/** Brings the widget `steps` in line with the scheduler; its value stays as the user left it. */
export function showFixedSteps(node, fixedBy) {
  const widget = widgetOf(node, 'steps')
  if (!widget || !fixedBy) return
  const steps = fixedSteps(node, fixedBy)
  const isFixed = plainLabels.has(widget)
  if (steps === undefined) {
    if (!isFixed) return
    widget.label = plainLabels.get(widget)
    setDisabled(widget, false)
    delete widget.secondary_text_color
    plainLabels.delete(widget)
  } else {
    if (!isFixed) plainLabels.set(widget, widget.label)
    const label = text('fixed', { name: plainLabels.get(widget) ?? widget.name, steps })
    if (widget.disabled && widget.label === label) return
    widget.label = label
    setDisabled(widget, true)
    // Half of the name's usual grey can hardly be read; half of the values' colour can.
    const colour = () => window.LiteGraph?.WIDGET_TEXT_COLOR ?? '#ddd'
    Object.defineProperty(widget, 'secondary_text_color', { get: colour, configurable: true })
  }
  node.setDirtyCanvas?.(true, true)
}

/** The option `fixed_by` of a node definition's widget `steps`, or undefined. */
export function fixedByOf(nodeData) {
  const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional }
  return inputs.steps?.[1]?.fixed_by
}
