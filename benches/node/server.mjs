// The REST server that a team writes by hand: node:http and a pool of pg. It serves one table, with the statements
// prepared, and the columns that the benchmark writes. `server.mjs TABLE`; libpq's variables say where the database is.
import http from 'node:http'
import pg from 'pg'

const table = process.argv[2]
const pool = new pg.Pool({ max: 16 })
pool.on('error', (error) => console.error(error.message))

const query = (name, text, values) => pool.query({ name, text, values })

const routes = {
  GET: (id, url) =>
    id
      ? query('one', `select * from ${table} where id = $1`, [id])
      : query('page', `select * from ${table} where id >= $1 order by id limit $2`, [
          url.searchParams.get('from'),
          url.searchParams.get('limit'),
        ]),
  POST: (_id, _url, row) =>
    query('insert', `insert into ${table} (name, description, data) values ($1, $2, $3) returning *`, [
      row.name,
      row.description,
      row.data,
    ]),
  PATCH: (id, _url, row) => query('update', `update ${table} set status = $2 where id = $1 returning *`, [id, row.status]),
}

const body = async (request) => {
  const parts = []
  for await (const part of request) parts.push(part)
  return parts.length ? JSON.parse(Buffer.concat(parts).toString()) : null
}

const server = http.createServer(async (request, response) => {
  const answer = (status, value) => {
    const text = JSON.stringify(value)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    response.end(text)
  }
  try {
    const url = new URL(request.url, 'http://localhost')
    const id = url.pathname.split('/')[2]
    const found = await routes[request.method](id, url, await body(request))
    answer(request.method === 'POST' ? 201 : 200, id || request.method === 'POST' ? found.rows[0] : found.rows)
  } catch (error) {
    answer(500, { error: error.message })
  }
})
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`))
