// The menu entry that turns the open workflow of WanVideoWrapper into one of EverTalk.
//
// Self-contained: it registers itself, and does nothing where the server has no route for it.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

const COMMAND = 'EverTalk.ConvertWanVideoWrapper'
const ROUTE = '/evertalk/convert'
const NAME = 'EverTalk (converted)'
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
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error ?? response.statusText)
  return answer
}

/** The remarks as the text of a note that stays in the workflow. */
export function noteText(remarks) {
  const lines = remarks.map(({ level, node, text }) => `[${level}] ${node ? `${node}: ` : ''}${text}`)
  return ['Converted from WanVideoWrapper. What was not carried over as it was:', '', ...lines].join('\n')
}

function addNote(remarks) {
  const note = globalThis.LiteGraph?.createNode('Note')
  if (!note || !remarks.length) return
  note.title = 'Converted from WanVideoWrapper'
  note.pos = [-460, 0]
  note.size = [420, 480]
  app.graph.add(note)
  if (note.widgets?.[0]) note.widgets[0].value = noteText(remarks)
}

export async function convertOpenWorkflow() {
  try {
    const { workflow, remarks } = await converted(app.graph.serialize())
    await app.loadApiJson(workflow, NAME)
    addNote(remarks)
    for (const [level, severity] of Object.entries(SEVERITY)) {
      const texts = remarks.filter((remark) => remark.level === level)
      if (texts.length) toast(severity, `${texts.length} x ${level}`, 'Listed in the note beside the workflow', SHORT_MS)
    }
    return remarks
  } catch (error) {
    toast('error', 'This workflow was not converted', error.message, undefined)
    return null
  }
}

app.registerExtension({
  name: 'evertalk.convert',
  commands: [{ id: COMMAND, label: 'Convert WanVideoWrapper workflow to EverTalk', function: convertOpenWorkflow }],
  menuCommands: [{ path: ['Extensions', 'EverTalk'], commands: [COMMAND] }]
})
