import { load } from 'dopant/infer';

const model = await load('model.safetensors');
const session = model.session();
const logits = [1, 2, 3].map((token) => [...session.step(token)]);
document.querySelector('output').textContent = JSON.stringify(logits);
