// Takes a picture of each workflow's graph in the real editor, and fails if a node is missing there.
//
//   node scripts/shoot_graph.mjs FOLDER_WITH_PLAYWRIGHT ADDRESS OUT_FOLDER WORKFLOW.json ...
//
// Writes OUT_FOLDER/NAME.png. Needs playwright-core in FOLDER_WITH_PLAYWRIGHT/node_modules and Chromium.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const [playwrightFolder, address, outFolder, ...workflows] = process.argv.slice(2)
const { chromium } = createRequire(path.resolve(playwrightFolder, 'package.json'))('playwright-core')

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update']
const SCALE = 0.85 // picture pixels for a pixel of the graph
const MARGIN = 24
const CHROME = { left: 90, top: 140, right: 60, bottom: 90 } // room for the editor's bars, cut off afterwards
const SETTLE_MS = 2500 // until pictures in nodes are loaded and sizes are settled

// Runs in the page: shows the whole graph at SCALE, and tells what it found.
function showGraph({ scale, margin, chrome }) {
  const { graph, canvas } = window.app
  const boxes = graph.nodes.map((node) => node.getBounding())
  const left = Math.min(...boxes.map((box) => box[0])) - margin
  const top = Math.min(...boxes.map((box) => box[1])) - margin
  const width = Math.max(...boxes.map((box) => box[0] + box[2])) + margin - left
  const height = Math.max(...boxes.map((box) => box[1] + box[3])) + margin - top
  canvas.ds.scale = scale
  canvas.ds.offset = [chrome.left / scale - left, chrome.top / scale - top]
  canvas.deselectAll()
  canvas.setDirty(true, true)
  return {
    missing: graph.nodes
      .filter((node) => node.has_errors || !(node.type in window.LiteGraph.registered_node_types))
      .map((node) => node.type),
    sizes: Object.fromEntries(graph.nodes.map((node) => [node.id, [...node.size]])),
    width: Math.ceil(width * scale),
    height: Math.ceil(height * scale),
  }
}

async function shoot(page, file) {
  const workflow = JSON.parse(readFileSync(file, 'utf8'))
  await page.evaluate((graph) => window.app.loadGraphData(graph, true, true, null), workflow)
  await page.waitForTimeout(SETTLE_MS)
  const options = { scale: SCALE, margin: MARGIN, chrome: CHROME }
  const found = await page.evaluate(showGraph, options)
  await page.setViewportSize({
    width: CHROME.left + found.width + CHROME.right,
    height: CHROME.top + found.height + CHROME.bottom,
  })
  await page.waitForTimeout(500)
  await page.evaluate(showGraph, options)
  await page.waitForTimeout(500)
  const name = path.basename(file, '.json')
  const clip = { x: CHROME.left, y: CHROME.top, width: found.width, height: found.height }
  await page.screenshot({ path: path.join(outFolder, `${name}.png`), clip })
  const grown = workflow.nodes.filter((node) => found.sizes[node.id].some((side, i) => side > node.size[i] + 1))
  const problems = [
    ...found.missing.map((type) => `no node ${type}`),
    ...grown.map((node) => `${node.type} needs ${found.sizes[node.id]}, has ${node.size}`),
  ]
  return problems.map((problem) => `${name}: ${problem}`)
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
try {
  const page = await browser.newPage({ viewport: { width: 1800, height: 1000 } })
  await page.goto(address)
  await page.waitForFunction(() => window.app?.graph && window.LiteGraph?.registered_node_types?.LoadImage)
  await page.waitForTimeout(SETTLE_MS)
  const problems = []
  for (const file of workflows) problems.push(...(await shoot(page, file)))
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length ? 1 : 0
} finally {
  await browser.close()
}
