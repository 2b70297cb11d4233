// Shows EverTalk's errors, warnings and progress, and the choices of its widgets, in the editor's language.
//
// ComfyUI translates names and tooltips itself; texts that a running node says reach the page in English. They
// are changed here on their way to the editor, by the catalogue that the server offers with the translations.
// A language without a catalogue, English among them, changes nothing.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { inBothLanguages, makeTranslator } from './words.js'

const OURS = 'EverTalk'
const isOurs = (name) => String(name ?? '').startsWith(OURS)

async function readCatalogue() {
  const language = app.ui.settings.getSettingValue('Comfy.Locale')
  if (!language || language === 'en') return null
  const answer = await api.fetchApi('/i18n')
  return answer.ok ? ((await answer.json())[language] ?? null) : null
}

function socketNames(nodeDefs) {
  const names = {}
  for (const [id, node] of Object.entries(nodeDefs))
    if (isOurs(id)) for (const [input, said] of Object.entries(node.inputs)) names[input] = said.name
  return names
}

// Listeners that capture run before the editor's own, which then finds the text changed.
function changeEvents(translate) {
  const early = (type, change) =>
    api.addEventListener(type, ({ detail }) => detail && change(detail), { capture: true })
  early('execution_error', (error) => {
    if (isOurs(error.node_type)) error.exception_message = inBothLanguages(error.exception_message, translate)
  })
  early('progress_text', (progress) => {
    const node = app.graph?.getNodeById(progress.nodeId)
    if (!node || isOurs(node.comfyClass)) progress.text = translate(progress.text) ?? progress.text
  })
  early('evertalk', (event) => {
    if (event.text) event.text = translate(event.text) ?? event.text
  })
}

function changeRefusals(translate) {
  const queuePrompt = api.queuePrompt
  const change = (nodeErrors) => {
    for (const node of Object.values(nodeErrors ?? {}))
      if (isOurs(node.class_type))
        for (const error of node.errors) error.details = inBothLanguages(error.details, translate)
  }
  api.queuePrompt = async function (...details) {
    try {
      const answer = await queuePrompt.apply(this, details)
      change(answer?.node_errors)
      return answer
    } catch (error) {
      change(error?.response?.node_errors)
      throw error
    }
  }
}

function labelChoices(node, inputs) {
  for (const widget of node.widgets ?? []) {
    const labels = inputs[widget.name]?.options
    if (labels && widget.options) widget.options.getOptionLabel = (value) => labels[value] ?? value ?? ''
  }
}

let nodeDefs = {}

app.registerExtension({
  name: `${OURS}.Messages`,
  async init() {
    const catalogue = await readCatalogue().catch((error) => {
      console.warn(`${OURS}: no translations (${error})`)
      return null
    })
    const messages = catalogue?.evertalk?.messages
    if (!messages) return
    nodeDefs = catalogue.nodeDefs ?? {}
    const translate = makeTranslator(messages, socketNames(nodeDefs))
    changeEvents(translate)
    changeRefusals(translate)
  },
  nodeCreated(node) {
    if (isOurs(node.comfyClass) && nodeDefs[node.comfyClass]) labelChoices(node, nodeDefs[node.comfyClass].inputs)
  },
})
