// Runs whose end this page has missed: the connection was away, or the server was started anew.

import { api } from '../../scripts/api.js'
import { said } from './said.js'
import { text } from './texts.js'

async function read(path) {
  const answer = await api.fetchApi(path)
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  return answer.json()
}

function endAsRecorded(record, node) {
  const summary = record.outputs?.[node]?.evertalk?.[0]
  if (summary) {
    const kind = summary.finished_windows < summary.windows ? 'paused' : 'done'
    return { kind, path: summary.file, text: '' }
  }
  const messages = new Map(record.status?.messages ?? [])
  const error = messages.get('execution_error')
  if (error) return { kind: 'failed', path: null, text: said(error.exception_message ?? '') }
  return { kind: 'paused', path: null, text: '' }
}

/** How a run has ended, as an event; null while the server still has it before it. */
export async function missedEnd(promptId, node) {
  const queue = await read('/queue')
  if ([...queue.queue_running, ...queue.queue_pending].some(([, id]) => id === promptId)) return null
  const record = (await read(`/history/${promptId}`))[promptId]
  const end = record ? endAsRecorded(record, node) : { kind: 'failed', path: null, text: text('lost') }
  return { ...end, prompt_id: promptId }
}
