// EverTalk in the graph editor: fixed widgets, what a run will be, how far it is, and its warnings.
//
// Uses ComfyUI's public extension API alone. Where a part of it is missing, that part of the extension does nothing.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { learnAdvanced, showAdvancedInUse } from './advanced.js'
import { addBadge, clearBadges } from './badges.js'
import { watchEstimates } from './estimate.js'
import { nodeOf, placesOfType } from './graph.js'
import { missedEnd } from './lost_runs.js'
import { RunState } from './run_state.js'
import { forgetRunsHere, noteTab, runningOnes, runOf, runsHere } from './runs.js'
import { said } from './said.js'
import { watchPrompts } from './same_seeds.js'
import { choosersOf, schedulerOptionsOf, setRecommended, showFixedWidgets } from './sampler_widgets.js'
import { ownStrip, outerStrips } from './strip_stack.js'
import { addStyle } from './style.js'
import { text } from './texts.js'

const OURS = 'EverTalk'
const SAMPLER = 'EverTalkSampler'
const LOOK_EVERY_MS = 500
const SHOW_EVERY_MS = 50
const IDLE = new RunState()
let showing = 0 // the timer of what is to be shown
let schedulerOptions = {} // of the sampler's widgets: what some schedulers fix or recommend

/** The samplers that are nodes of a graph, each once; those in old group nodes are none. */
function samplersAt(places) {
  return [...new Set(places.map(({ node }) => node))].filter((node) => !node.isInGroup)
}

/** Brings the open tab's nodes in line with what is known of their runs. */
function showRuns() {
  const newest = new Map() // two subgraph nodes may show the same node inside: the run that spoke last counts
  for (const [id, run] of runsHere()) {
    const node = nodeOf(id)
    if (node && !(newest.get(node)?.changed > run.changed)) newest.set(node, run)
  }
  const places = placesOfType(SAMPLER)
  for (const node of samplersAt(places)) ownStrip(node).follow(newest.get(node) ?? IDLE)
  for (const { id, strip } of outerStrips(places)) strip.follow(runsHere().get(id) ?? IDLE)
  for (const [node, run] of newest)
    if (node.type !== SAMPLER) for (const sentence of run.warnings) addBadge(node, sentence)
}

// A run that goes on tells of thousands of windows at once.
function showRunsSoon() {
  if (showing) return
  showing = setTimeout(() => {
    showing = 0
    showRuns()
  }, SHOW_EVERY_MS)
}

function onServerEvent({ detail }) {
  runOf(detail).apply({ ...detail, text: said(detail.text) })
  showRunsSoon()
}

// The server answers a run that it has made before from its cache, and then nothing but this speaks of it.
function onExecuted({ detail }) {
  const summary = detail?.output?.evertalk?.[0]
  const node = summary && nodeOf(detail.node)
  if (!node || node.type !== SAMPLER || runsHere().get(String(detail.node))?.promptId === detail.prompt_id) return
  const event = { node: detail.node, prompt_id: detail.prompt_id, windows: summary.windows }
  const kind = summary.finished_windows < summary.windows ? 'paused' : 'done'
  const run = runOf(event)
  run.apply({ ...event, kind, window: summary.finished_windows, path: summary.file })
  for (const sentence of [text('cached'), ...(summary.warnings ?? []).map(said)])
    run.apply({ ...event, kind: 'warning', text: sentence })
  showRuns()
}

// A run that the server broke off before it could say so itself.
function onHostEnd(kind) {
  return ({ detail }) => {
    for (const [, run] of runningOnes(detail?.prompt_id))
      run.apply({ kind, prompt_id: run.promptId, text: detail.exception_message ?? '', path: null })
    showRuns()
  }
}

async function onReconnected() {
  for (const [node, run] of runningOnes()) {
    const end = await missedEnd(run.promptId, node).catch(() => null) // away again; asked when it is back
    if (end && run.phase === 'running' && run.promptId === end.prompt_id) run.apply(end)
  }
  showRuns()
}

function onExecuting({ detail }) {
  const node = detail == null ? null : nodeOf(detail)
  if (!node || node.type === SAMPLER) return
  runsHere().delete(String(detail))
  clearBadges(node)
}

// The editor has no event for every way in which a value can change (undo, scripts, links, subgraphs), so look.
function look() {
  if (document.hidden) return
  const places = placesOfType(SAMPLER)
  const samplers = samplersAt(places)
  for (const node of samplers) showFixedWidgets(node, schedulerOptions)
  showAdvancedInUse()
  watchEstimates([...samplers.map(ownStrip), ...outerStrips(places).map(({ strip }) => strip)])
  noteTab()
  showRuns()
}

app.registerExtension({
  name: 'evertalk.sampler',
  setup() {
    addStyle()
    watchPrompts()
    api.addEventListener('evertalk', onServerEvent)
    api.addEventListener('executed', onExecuted)
    api.addEventListener('executing', onExecuting)
    api.addEventListener('execution_interrupted', onHostEnd('paused'))
    api.addEventListener('execution_error', onHostEnd('failed'))
    api.addEventListener('reconnected', onReconnected)
    api.addEventListener('graphCleared', forgetRunsHere)
    setInterval(look, LOOK_EVERY_MS)
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name.startsWith(OURS)) learnAdvanced(nodeData)
    if (nodeData.name === SAMPLER) schedulerOptions = schedulerOptionsOf(nodeData)
  },
  nodeCreated(node) {
    if (node.type !== SAMPLER && node.comfyClass !== SAMPLER) return
    ownStrip(node)
    showFixedWidgets(node, schedulerOptions)
    const names = choosersOf(schedulerOptions)
    for (const chooser of node.widgets?.filter((widget) => names.has(widget.name)) ?? []) {
      const before = chooser.callback
      chooser.callback = function (...values) {
        const result = before?.apply(this, values)
        setRecommended(node, schedulerOptions)
        showFixedWidgets(node, schedulerOptions)
        return result
      }
    }
  },
  loadedGraphNode(node) {
    if (node.type === SAMPLER) showFixedWidgets(node, schedulerOptions)
  },
})
