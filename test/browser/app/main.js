import { load } from 'dopant/infer';

const plan = await load('model.safetensors');
const session = plan.session();
const logits = [1, 2, 3].map((token) => [...session.next(token)]);
document.querySelector('output').textContent = JSON.stringify(logits);
