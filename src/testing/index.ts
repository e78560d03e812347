// dopant/testing: checks for operators and layers of one's own, to be called in any test runner.
export { type LayerUnderTest, layerBattery } from './layers.js';
export {
  asTheyAre,
  checkInitialise,
  denseOf,
  type Numbers,
  type Oracle,
  operatorBattery,
} from './operators.js';
