// Greys out the widgets that a scheduler decides itself, and says what it takes; sets those it recommends.
//
// Which schedulers decide what stands in the node's definition, so that the numbers have one owner: the options
// `fixed_by` and `set_by` of a widget, such as { "widget": "scheduler", "values": { "multitalk": 4 } }.

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

/** The value that the chosen scheduler insists on for a widget, or undefined. */
function fixedValue(node, name, fixedBy) {
  const chooser = widgetOf(node, fixedBy.widget)
  const isOpen = !isLinked(node, fixedBy.widget) && !isLinked(node, name)
  return chooser && isOpen ? fixedBy.values[chooser.value] : undefined
}

// The canvas reads the one, the editor's nodes of Vue the other.
function setDisabled(widget, isDisabled) {
  widget.disabled = isDisabled
  if (widget.options) widget.options.disabled = isDisabled
}

function showFixed(node, name, fixedBy) {
  const widget = widgetOf(node, name)
  if (!widget) return
  const value = fixedValue(node, name, fixedBy)
  const isFixed = plainLabels.has(widget)
  if (value === undefined) {
    if (!isFixed) return
    widget.label = plainLabels.get(widget)
    setDisabled(widget, false)
    delete widget.secondary_text_color
    plainLabels.delete(widget)
  } else {
    if (!isFixed) plainLabels.set(widget, widget.label)
    const label = text('fixed', { name: plainLabels.get(widget) ?? widget.name, value })
    if (widget.disabled && widget.label === label) return
    widget.label = label
    setDisabled(widget, true)
    // Half of the name's usual grey can hardly be read; half of the values' colour can.
    const colour = () => window.LiteGraph?.WIDGET_TEXT_COLOR ?? '#ddd'
    Object.defineProperty(widget, 'secondary_text_color', { get: colour, configurable: true })
  }
  node.setDirtyCanvas?.(true, true)
}

/** Brings a node's widgets in line with its scheduler; their values stay as the user left them. */
export function showFixedWidgets(node, options) {
  for (const [name, { fixed_by: fixedBy }] of Object.entries(options)) {
    if (fixedBy) showFixed(node, name, fixedBy)
  }
}

/** Sets a node's widgets, by name; those that a link brings stay. */
export function setWidgets(node, values) {
  for (const [name, value] of Object.entries(values)) {
    const widget = widgetOf(node, name)
    if (value === undefined || !widget || widget.value === value || isLinked(node, name)) continue
    widget.value = value
    widget.callback?.(value)
  }
}

/** Sets what is recommended with the scheduler that the user has just chosen. */
export function setRecommended(node, options) {
  const chosen = Object.entries(options).map(([name, { set_by: setBy }]) => [
    name,
    setBy?.values[widgetOf(node, setBy.widget)?.value],
  ])
  setWidgets(node, Object.fromEntries(chosen))
}

/** The options `fixed_by` and `set_by` of a node definition's widgets, by the widgets' names. */
export function schedulerOptionsOf(nodeData) {
  const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional }
  const options = Object.entries(inputs).map(([name, [, option]]) => [name, option ?? {}])
  return Object.fromEntries(options.filter(([, option]) => option.fixed_by || option.set_by))
}

/** The widgets that decide over others: the scheduler. */
export function choosersOf(options) {
  return new Set(Object.values(options).map((option) => (option.fixed_by ?? option.set_by).widget))
}
