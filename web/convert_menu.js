// The menu entry that turns the open workflow of WanVideoWrapper into one of EverTalk.
//
// It registers itself, and does nothing where the server has no route for it.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { said } from './said.js'
import { remarkLevel, text } from './texts.js'

const COMMAND = 'EverTalk.ConvertWanVideoWrapper'
const ROUTE = '/evertalk/convert'
const SEVERITY = { lost: 'warn', changed: 'info', 'missing file': 'warn', 'not needed': 'secondary' }
const SHORT_MS = 12000

function toast(severity, summary, detail, life) {
  app.extensionManager?.toast?.add({ severity, summary, detail, life })
}

async function converted(workflow) {
  const response = await api.fetchApi(ROUTE, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(workflow)
  })
  const answer = await response.json().catch(() => ({})) // the server's own errors are not JSON
  if (!response.ok) throw new Error(answer.error ?? response.statusText)
  return answer
}

/** The remarks as the text of a note that stays in the workflow. */
export function noteText(remarks) {
  const lines = remarks.map(({ level, node, text: remark }) => {
    return `[${remarkLevel(level)}] ${node ? `${node}: ` : ''}${said(remark)}`
  })
  return [text('convertNote'), '', ...lines].join('\n')
}

function addNote(remarks) {
  const note = globalThis.LiteGraph?.createNode('Note')
  if (!note || !remarks.length) return
  note.title = text('convertTitle')
  note.pos = [-460, 0]
  note.size = [420, 480]
  app.graph.add(note)
  if (note.widgets?.[0]) note.widgets[0].value = noteText(remarks)
}

export async function convertOpenWorkflow() {
  try {
    const { workflow, remarks } = await converted(app.graph.serialize())
    await app.loadApiJson(workflow, text('convertName'))
    addNote(remarks)
    for (const [level, severity] of Object.entries(SEVERITY)) {
      const count = remarks.filter((remark) => remark.level === level).length
      const summary = text('convertCount', { count, level: remarkLevel(level) })
      if (count) toast(severity, summary, text('convertListed'), SHORT_MS)
    }
    return remarks
  } catch (error) {
    toast('error', text('convertRefused'), said(error.message), undefined)
    return null
  }
}

app.registerExtension({
  name: 'evertalk.convert',
  commands: [{ id: COMMAND, label: () => text('convert'), function: convertOpenWorkflow }],
  menuCommands: [{ path: ['Extensions', 'EverTalk'], commands: [COMMAND] }]
})
