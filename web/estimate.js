// What a run will be, before it runs: gathers what is connected to a sampler; the server does the arithmetic.

import { api } from '../../scripts/api.js'
import { gapBehind } from './gaps.js'
import { idOf, sourceOf, valueHolder } from './graph.js'
import { said } from './said.js'
import { isLinked, setWidgets } from './sampler_widgets.js'
import { language, text } from './texts.js'

// Only of these is it known what they give without running them; other nodes are left out and the server says less.
const KNOWN = new Set([
  'EverTalkSampler',
  'EverTalkAudioEmbeds',
  'EverTalkSpeakers',
  'EverTalkVideoSource',
  'EverTalkLoadSpeech',
  'EverTalkModelLoader',
  'EverTalkApply',
  'LoadAudio',
  'LoadImage',
  'LoadVideo',
])
const ASIDE = new Set(['positive', 'negative', 'vae', 'audio_encoder', 'clip_vision', 'clip_vision_output'])

/** Widgets and known inputs of the node at a place and of those before it, as the API format has them. */
export function gather(place, nodes = {}) {
  const { node } = place
  if (nodes[idOf(place)]) return nodes
  const inputs = {}
  nodes[idOf(place)] = { class_type: node.type, inputs }
  for (const widget of node.widgets ?? []) {
    const isValue = ['string', 'number', 'boolean'].includes(typeof widget.value)
    if (widget.serialize === false || !isValue) continue
    const value = isLinked(node, widget.name) ? valueHolder(place, widget.name)?.widget.value : widget.value
    if (value !== undefined) inputs[widget.name] = value
  }
  for (const [slot, { name }] of (node.inputs ?? []).entries()) {
    if (ASIDE.has(name) || name in inputs || !node.isInputConnected(slot)) continue
    const source = sourceOf(place, slot)
    if (source === null) continue // what feeds it is switched off: a run has nothing there
    inputs[name] = [source ? idOf(source) : '', 0]
    if (source && KNOWN.has(source.node.type)) gather(source, nodes)
  }
  return nodes
}

/** An estimate as a line of text. */
export function lineOf(estimate) {
  if (estimate.problem) return said(estimate.problem)
  const line = lineOfVideo(estimate)
  const { region_width: width, region_height: height } = estimate
  return line === '' || width == null ? line : text('estimateRegion', { text: line, width, height })
}

function lineOfVideo(estimate) {
  const { seconds, frames, windows, width, height } = estimate
  const values = { seconds: seconds?.toFixed(1), frames, windows, width, height }
  if (seconds == null) return width == null ? '' : text('estimateSize', values)
  if (width == null) return text('estimateLength', values)
  if (estimate.at_least) return text('estimateAtLeast', values)
  return text(windows === 1 ? 'estimateOne' : 'estimate', values)
}

const asked = new WeakMap() // strip -> what was asked last, as text
const models = new WeakMap() // strip -> the widgets of its model's loader when it was asked last, as text

/** The widgets that choose a sampler's model, as text; nothing while no loader of ours is connected. */
function modelOf(nodes, id) {
  const loader = nodes[nodes[id].inputs.model?.[0]]
  if (!loader) return ''
  const { base_model: base, talk_model: talk, mode } = loader.inputs
  return JSON.stringify([base, talk, mode])
}

/** Asks the server anew for every strip whose sampler's inputs have changed. */
export function watchEstimates(strips) {
  for (const strip of strips) {
    const { place } = strip
    if (place.node.isInGroup) {
      strip.showEstimate(text('grouped'), false) // its inputs are not known
      continue
    }
    strip.showGap(gapBehind(place))
    const [id, prompt] = [idOf(place), gather(place)]
    const question = JSON.stringify({ node: id, prompt, language: language() })
    if (asked.get(strip) === question) continue
    asked.set(strip, question)
    const model = modelOf(prompt, id)
    // A workflow that is opened keeps what it says; only a model that is chosen here brings its settings.
    const isChosen = models.has(strip) && model !== '' && models.get(strip) !== model
    models.set(strip, model)
    void ask(strip, question, isChosen)
  }
}

async function ask(strip, question, isChosen) {
  const headers = { 'Content-Type': 'application/json' }
  let estimate = {}
  try {
    const response = await api.fetchApi('/evertalk/estimate', { method: 'POST', headers, body: question })
    if (response.ok) estimate = await response.json()
  } catch {
    asked.delete(strip) // the server is away; ask again when it answers
  }
  if (asked.get(strip) !== question) return
  if (isChosen) setWidgets(strip.place.node, estimate.suggested ?? {}) // and is asked anew with them
  strip.showEstimate(lineOf(estimate), Boolean(estimate.problem))
}
