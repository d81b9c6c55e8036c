-- Credence's filter marks an answer after which the connection is to end, as its peer's certificate
-- has ended or been revoked ("expiry": {"drainHeader": true}). HTTP/1.1 gets `connection: close`, HTTP/2 a
-- GOAWAY, and requests under way complete. The mark itself goes no further.
function envoy_on_response(handle)
  local headers = handle:headers()
  if headers:get("x-credence-drain") == nil then
    return
  end
  headers:remove("x-credence-drain")
  handle:streamInfo():drainConnectionUponCompletion()
end
