-- Remove the message of an ended delivery.
-- Input: delivery tag. Output: none. Publishes nothing.
redis.call('ZREM', keys.unacked_index, ARGV[1])
redis.call('HDEL', keys.unacked, ARGV[1])
