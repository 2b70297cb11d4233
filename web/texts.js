// The words that the extension shows, in the language that the editor is set to.

import { app } from '../../scripts/app.js'

/** All texts by language. */
export const TEXTS = {
  en: {
    fixed: '{name}: {value} (fixed)',
    estimate: '{seconds} s of audio -> {frames} frames, {windows} windows, {width}x{height}',
    estimateOne: '{seconds} s of audio -> {frames} frames, 1 window, {width}x{height}',
    estimateAtLeast: '{seconds} s of audio -> {frames} frames, {windows} windows or more, {width}x{height}',
    estimateSize: '{width}x{height}; the length shows when the speech is known',
    estimateLength: '{seconds} s of audio -> {frames} frames, {windows} windows',
    estimateRegion: '{text}; the region is made at {width}x{height}',
    grouped: 'An old group node: made a subgraph, it says here what a run will be',
    gapEmpty: '{socket}: nothing is connected',
    gapMuted: '{socket}: {node}, which feeds it, is muted',
    gapBypassed: '{socket}: {node}, which feeds it, is bypassed and has nothing to pass on',
    gapOf: '{node}, {text}',
    or: ' or ',
    running: 'Window {window} of {windows}, step {step}/{steps}',
    starting: 'Window {window} of {windows}',
    left: '{text}, {seconds} s left',
    done: '{windows} of {windows} windows done',
    paused: '{done} of {windows} windows kept',
    failed: 'Failed in window {window} of {windows}; {done} kept',
    pause: 'Pause',
    pauseTip: 'Stop after the window that is being made; nothing is lost',
    pausing: 'Pauses after this window',
    lost: 'The server was restarted in the middle of this run; finished windows are kept, and Go on makes the others',
    cached: 'Nothing has changed since this run was made: the server gave its result again',
    noPause: 'This server cannot pause; use Stop and keep',
    stop: 'Stop and keep',
    stopTip: 'Stop now; finished windows are kept, and a video of them is made',
    resume: 'Go on',
    resumeTip: 'Queue the same run again, with the seed it had: it continues after the last finished window',
    reroll: 'Re-roll window {window}',
    rerollTip: 'Make this window again with another seed; the windows before it are used as they are',
    cell: 'Window {window}: {state}',
    cells: 'Windows {first} to {last}: {done} done',
    states: { done: 'done', running: 'running', queued: 'queued', failed: 'failed' },
    convert: 'Convert this workflow to EverTalk',
    convertName: 'EverTalk (converted)',
    convertTitle: 'Converted to EverTalk',
    convertNote: 'Converted to EverTalk. What was not carried over as it was:',
    convertCount: '{count} x {level}',
    convertListed: 'Listed in the note beside the workflow',
    convertRefused: 'This workflow was not converted',
    levels: { lost: 'lost', changed: 'changed', 'missing file': 'missing file', 'not needed': 'not needed' },
  },
  zh: {
    fixed: '{name}：{value}（固定）',
    estimate: '{seconds} 秒音频 -> {frames} 帧，{windows} 个窗口，{width}x{height}',
    estimateOne: '{seconds} 秒音频 -> {frames} 帧，1 个窗口，{width}x{height}',
    estimateAtLeast: '{seconds} 秒音频 -> {frames} 帧，至少 {windows} 个窗口，{width}x{height}',
    estimateSize: '{width}x{height}；语音确定后显示时长',
    estimateLength: '{seconds} 秒音频 -> {frames} 帧，{windows} 个窗口',
    estimateRegion: '{text}；区域以 {width}x{height} 生成',
    grouped: '旧式组节点：转换为子图后，这里会说明运行将是什么样',
    gapEmpty: '{socket}：没有连接任何内容',
    gapMuted: '{socket}：为它提供内容的“{node}”已被静音',
    gapBypassed: '{socket}：为它提供内容的“{node}”已被绕过，没有可传递的内容',
    gapOf: '“{node}”的{text}',
    or: ' 或 ',
    running: '窗口 {window}/{windows}，第 {step}/{steps} 步',
    starting: '窗口 {window}/{windows}',
    left: '{text}，剩余 {seconds} 秒',
    done: '{windows} 个窗口全部完成',
    paused: '已保留 {done}/{windows} 个窗口',
    failed: '在窗口 {window}/{windows} 失败；已保留 {done} 个',
    pause: '暂停',
    pauseTip: '在当前窗口完成后停止；不会丢失任何内容',
    pausing: '将在此窗口之后暂停',
    lost: '服务器在此运行中途重新启动；已完成的窗口会保留，“继续”会生成其余窗口',
    cached: '自上次运行以来没有任何变化：服务器直接给出了已有的结果',
    noPause: '此服务器无法暂停；请使用“停止并保留”',
    stop: '停止并保留',
    stopTip: '立即停止；已完成的窗口会保留，并合成为视频',
    resume: '继续',
    resumeTip: '用原来的种子再次排队同一任务：从最后完成的窗口之后继续',
    reroll: '重新生成窗口 {window}',
    rerollTip: '用另一个种子重新生成此窗口；之前的窗口保持不变',
    cell: '窗口 {window}：{state}',
    cells: '窗口 {first} 到 {last}：完成 {done} 个',
    states: { done: '完成', running: '进行中', queued: '等待', failed: '失败' },
    convert: '把此工作流转换为 EverTalk',
    convertName: 'EverTalk（转换）',
    convertTitle: '转换为 EverTalk',
    convertNote: '已转换为 EverTalk。未能原样保留的内容：',
    convertCount: '{level}：{count} 处',
    convertListed: '已列在工作流旁的注释中',
    convertRefused: '此工作流未转换',
    levels: { lost: '丢失', changed: '有变化', 'missing file': '缺少文件', 'not needed': '不再需要' },
  },
}

/** Language of the texts: en or zh. */
export function language() {
  const locale = String(app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en')
  return locale.startsWith('zh') ? 'zh' : 'en'
}

function words() {
  return TEXTS[language()]
}

/** A text with its {places} filled in. */
export function text(key, values = {}) {
  return words()[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''))
}

/** The word for what a remark of the converter is: lost, changed, missing file, not needed. */
export function remarkLevel(level) {
  return words().levels[level] ?? level
}

/** The word for the state of a window: done, running, queued, failed. */
export function stateWord(state) {
  return words().states[state]
}
