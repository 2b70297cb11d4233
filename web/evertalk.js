// EverTalk in the graph editor: fixed steps, what a run will be, how far it is, and its warnings.
//
// Uses ComfyUI's public extension API alone. Where a part of it is missing, that part of the extension does nothing.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { addBadge, clearBadges } from './badges.js'
import { watchEstimates } from './estimate.js'
import { nodeOf, nodesOfType } from './graph.js'
import { fixedByOf, showFixedSteps } from './sampler_widgets.js'
import { said } from './said.js'
import { addStyle } from './style.js'
import { WindowStrip } from './window_strip.js'

const SAMPLER = 'EverTalkSampler'
const LOOK_EVERY_MS = 500
const strips = new WeakMap() // sampler node -> its strip
let fixedBy // the sampler's option that says which schedulers have steps of their own

function stripOf(node) {
  if (!strips.has(node)) strips.set(node, new WindowStrip(node))
  return strips.get(node)
}

function onServerEvent({ detail }) {
  const node = nodeOf(detail.node)
  if (!node) return
  const event = { ...detail, text: said(detail.text) }
  if (node.type === SAMPLER) stripOf(node).apply(event)
  else if (event.kind === 'warning') addBadge(node, event.text)
}

// A run that the server broke off before it could say so itself.
function onHostEnd(kind) {
  return ({ detail }) => {
    for (const node of nodesOfType(SAMPLER)) {
      const { state } = stripOf(node)
      if (state.promptId !== detail?.prompt_id || state.phase !== 'running') continue
      stripOf(node).apply({ kind, prompt_id: detail.prompt_id, text: detail.exception_message ?? '', path: null })
    }
  }
}

function onExecuting({ detail }) {
  const node = detail == null ? null : nodeOf(detail)
  if (node && node.type !== SAMPLER) clearBadges(node)
}

// The editor has no event for every way in which a value can change (undo, scripts, links, subgraphs), so look.
function look() {
  if (document.hidden) return
  const samplers = nodesOfType(SAMPLER)
  for (const node of samplers) showFixedSteps(node, fixedBy)
  watchEstimates(samplers, stripOf)
}

app.registerExtension({
  name: 'EverTalk',
  setup() {
    addStyle()
    api.addEventListener('evertalk', onServerEvent)
    api.addEventListener('executing', onExecuting)
    api.addEventListener('execution_interrupted', onHostEnd('paused'))
    api.addEventListener('execution_error', onHostEnd('failed'))
    setInterval(look, LOOK_EVERY_MS)
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name === SAMPLER) fixedBy = fixedByOf(nodeData)
  },
  nodeCreated(node) {
    if (node.type !== SAMPLER && node.comfyClass !== SAMPLER) return
    stripOf(node)
    showFixedSteps(node, fixedBy)
    const chooser = node.widgets?.find((widget) => widget.name === fixedBy?.widget)
    if (!chooser) return
    const before = chooser.callback
    chooser.callback = function (...values) {
      const result = before?.apply(this, values)
      showFixedSteps(node, fixedBy)
      return result
    }
  },
  loadedGraphNode(node) {
    if (node.type === SAMPLER) showFixedSteps(node, fixedBy)
  },
})
