// Items in MongoDB, the list of them cached in Redis: a small app to run behind appforge.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gomodule/redigo/redis"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/mongo/driver/connstring"
)

const (
	cacheKey     = "items:newest"
	cacheSeconds = 10
	// The cache may be away: a request waits for it this long, once, and then asks MongoDB.
	cacheTimeout = 200 * time.Millisecond
	maxBody      = 64 * 1024
	drainTimeout = 20 * time.Second
)

type item struct {
	ID   primitive.ObjectID `bson:"_id" json:"id"`
	Name string             `bson:"name" json:"name"`
}

type app struct {
	items *mongo.Collection
	cache *redis.Pool
}

// connect opens both stores. The size of the pool and the timeouts are options of the URI.
func connect(ctx context.Context, mongoURI, redisURL string) (*app, error) {
	address, err := connstring.ParseAndValidate(mongoURI)
	if err != nil {
		return nil, errors.New("MONGODB_URI cannot be read")
	}
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI))
	if err != nil {
		return nil, err
	}
	limits := []redis.DialOption{
		redis.DialConnectTimeout(cacheTimeout),
		redis.DialReadTimeout(cacheTimeout),
		redis.DialWriteTimeout(cacheTimeout),
	}
	cache := &redis.Pool{
		MaxIdle:     10,
		IdleTimeout: time.Minute,
		Dial:        func() (redis.Conn, error) { return redis.DialURL(redisURL, limits...) },
	}
	return &app{items: client.Database(address.Database).Collection("items"), cache: cache}, nil
}

func (a *app) close(ctx context.Context) {
	if err := a.cache.Close(); err != nil {
		log.Printf("Redis: %v", err)
	}
	if err := a.items.Database().Client().Disconnect(ctx); err != nil {
		log.Printf("MongoDB: %v", err)
	}
}

// fromCache is what Redis answers, or an error when it is away or late.
func (a *app) fromCache(command string, arguments ...interface{}) ([]byte, error) {
	connection := a.cache.Get()
	defer connection.Close()
	return redis.Bytes(connection.Do(command, arguments...))
}

func (a *app) list(w http.ResponseWriter, r *http.Request) {
	if text, err := a.fromCache("GET", cacheKey); err == nil {
		w.Header().Set("X-Cache", "hit")
		write(w, http.StatusOK, text)
		return
	}
	newest := options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(20)
	cursor, err := a.items.Find(r.Context(), bson.D{}, newest)
	if err != nil {
		unavailable(w, err)
		return
	}
	found := []item{}
	if err := cursor.All(r.Context(), &found); err != nil {
		unavailable(w, err)
		return
	}
	text, err := json.Marshal(map[string][]item{"items": found})
	if err != nil {
		unavailable(w, err)
		return
	}
	// Without the cache the next request asks MongoDB again.
	_, _ = a.fromCache("SET", cacheKey, text, "EX", cacheSeconds)
	w.Header().Set("X-Cache", "miss")
	write(w, http.StatusOK, text)
}

func (a *app) create(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&asked)
	if length := utf8.RuneCountInString(asked.Name); err != nil || length < 1 || length > 100 {
		fail(w, http.StatusBadRequest, "`name` must be a text of 1 to 100 characters")
		return
	}
	made := item{ID: primitive.NewObjectID(), Name: asked.Name}
	if _, err := a.items.InsertOne(r.Context(), made); err != nil {
		unavailable(w, err)
		return
	}
	_, _ = a.fromCache("DEL", cacheKey)
	answer(w, http.StatusCreated, made)
}

func (a *app) serveItems(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		a.list(w, r)
	case http.MethodPost:
		a.create(w, r)
	default:
		fail(w, http.StatusMethodNotAllowed, "use GET or POST")
	}
}

func (a *app) health(w http.ResponseWriter, r *http.Request) {
	if err := a.items.Database().Client().Ping(r.Context(), nil); err != nil {
		unavailable(w, err)
		return
	}
	write(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

func unavailable(w http.ResponseWriter, err error) {
	log.Printf("MongoDB: %v", err)
	fail(w, http.StatusServiceUnavailable, "the store does not answer")
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"error": message})
}

func answer(w http.ResponseWriter, status int, value interface{}) {
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "cannot write the answer", http.StatusInternalServerError)
		return
	}
	write(w, status, text)
}

func write(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that left needs no answer.
	_, _ = w.Write(text)
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a, err := connect(ctx, os.Getenv("MONGODB_URI"), os.Getenv("REDIS_URL"))
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	handler.HandleFunc("/items", a.serveItems)
	handler.HandleFunc("/healthz", a.health)
	handler.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/" {
			http.NotFound(writer, request)
			return
		}
		a.health(writer, request)
	})
	server := &http.Server{
		Addr:              net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")),
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Printf("listening on %s", server.Addr)
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		// Accepted requests end first, then the connections to the stores.
		limited, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err = server.Shutdown(limited)
	}
	limited, cancel := context.WithTimeout(context.Background(), cacheTimeout*10)
	defer cancel()
	a.close(limited)
	return err
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
