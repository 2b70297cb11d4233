// Shows EverTalk's errors and warnings, and the choices of its widgets, in the editor's language.
//
// ComfyUI translates names and tooltips itself; texts that a running node says reach the page in English. They
// are changed here on their way to the editor, by the catalogue that the server offers with the translations. The
// extension's own parts, progress_texts.js among them, ask said.js for what they show.
// A language without a catalogue, English among them, changes nothing.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { passThrough } from './host_events.js'
import { isOurs, OURS, sayWith } from './said.js'
import { inBothLanguages, makeTranslator } from './words.js'

const LANGUAGE_LOADS_MS = 3000
const POLL_MS = 50

async function readCatalogue(language) {
  const answer = await api.fetchApi('/i18n')
  return answer.ok ? ((await answer.json())[language] ?? null) : null
}

// Frontend 1.32 loads a language after the packs' translations, which are lost by that: put ours in again. Later
// ones keep them; then, and where the editor's translator is not found, nothing is done.
async function restoreTranslations(language, catalogue) {
  const page = document.getElementById('vue-app')?.__vue_app__
  const i18n = page?._context?.provides?.[page.__VUE_I18N_SYMBOL__]?.global
  if (!i18n?.mergeLocaleMessage) return
  for (let waited = 0; !i18n.te('g.cancel', language) && waited < LANGUAGE_LOADS_MS; waited += POLL_MS)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  const ours = (section) => Object.fromEntries(Object.entries(section ?? {}).filter(([key]) => isOurs(key)))
  const nodeDefs = ours(catalogue.nodeDefs)
  if (Object.keys(nodeDefs).every((id) => i18n.te(`nodeDefs.${id}.display_name`, language))) return
  i18n.mergeLocaleMessage(language, { nodeDefs, dataTypes: ours(catalogue.dataTypes) })
}

function socketNames(nodeDefs) {
  const names = {}
  for (const [id, node] of Object.entries(nodeDefs))
    if (isOurs(id)) for (const [input, said] of Object.entries(node.inputs)) names[input] = said.name
  return names
}

// No event tells of a refused prompt, and no hook of an extension: its answer can be changed here alone. Without this
// method the refusal is said in English.
function changeRefusals(translate) {
  const queuePrompt = api.queuePrompt
  if (typeof queuePrompt !== 'function') return
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
  name: 'evertalk.messages',
  async init() {
    const language = app.extensionManager.setting.get('Comfy.Locale')
    if (!language || language === 'en') return
    const catalogue = await readCatalogue(language).catch((error) => {
      console.warn(`${OURS}: no translations (${error})`)
      return null
    })
    const messages = catalogue?.evertalk?.messages
    if (!messages) return
    await restoreTranslations(language, catalogue)
    nodeDefs = catalogue.nodeDefs ?? {}
    const translate = makeTranslator(messages, socketNames(nodeDefs))
    sayWith(translate)
    passThrough('execution_error', (error) => {
      if (isOurs(error.node_type)) error.exception_message = inBothLanguages(error.exception_message, translate)
    })
    changeRefusals(translate)
  },
  nodeCreated(node) {
    if (isOurs(node.comfyClass) && nodeDefs[node.comfyClass]) labelChoices(node, nodeDefs[node.comfyClass].inputs)
  },
})
