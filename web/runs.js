// The runs that this page knows of, by the editor's tabs and the server's node ids.
//
// They are not kept on the editor's nodes: an undo, a look into another tab or a deletion makes new ones.

import { app } from '../../scripts/app.js'
import { rootGraph } from './graph.js'
import { RunState } from './run_state.js'

const tabs = new Map() // a tab -> id of a node -> its run
const tabOfPrompt = new Map() // id of a prompt -> the tab that it belongs to
const lastTab = new Map() // id of a workflow -> the tab that showed it last

/** The open tab: the editor's object for it, which a renaming keeps; else the workflow's id. */
function tabHere() {
  return app.extensionManager?.workflow?.activeWorkflow ?? rootGraph()?.id
}

/** Remembers which workflow the open tab shows. Two tabs may show copies of one, with one id. */
export function noteTab() {
  const workflow = rootGraph()?.id
  lastTab.set(workflow, tabHere())
  adopt(workflow, tabHere())
}

// A page that was reloaded hears of a run before its workflow is opened again: the run is kept under the workflow's
// id, and is the tab's that shows it first.
function adopt(workflow, tab) {
  if (workflow === tab || !tabs.has(workflow)) return
  for (const [id, run] of tabs.get(workflow)) runsIn(tab).set(id, run)
  tabs.delete(workflow)
  for (const [promptId, known] of tabOfPrompt) if (known === workflow) tabOfPrompt.set(promptId, tab)
}

function runsIn(tab) {
  if (!tabs.has(tab)) tabs.set(tab, new Map())
  return tabs.get(tab)
}

/** The runs of the open tab, by the server's node ids. */
export function runsHere() {
  return runsIn(tabHere())
}

/** The run that an event speaks of; one of no known workflow is taken for the open tab's. */
export function runOf({ node, prompt_id: promptId, workflow }) {
  if (!tabOfPrompt.has(promptId)) {
    const isHere = workflow == null || workflow === rootGraph()?.id
    tabOfPrompt.set(promptId, isHere ? tabHere() : (lastTab.get(workflow) ?? workflow))
  }
  const runs = runsIn(tabOfPrompt.get(promptId))
  const id = String(node)
  if (!runs.has(id)) runs.set(id, new RunState())
  return runs.get(id)
}

/** All runs that go on, with their nodes' ids; of one prompt, or of all. */
export function runningOnes(promptId) {
  return [...tabs.values()]
    .flatMap((runs) => [...runs])
    .filter(([, run]) => run.phase === 'running' && (promptId === undefined || run.promptId === promptId))
}

/** Forgets the runs of the open tab: its nodes are gone, and their ids will be given away again. */
export function forgetRunsHere() {
  tabs.delete(tabHere())
}
